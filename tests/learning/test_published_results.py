"""What the docs say is what the files of docs/results say."""

from pathlib import Path

import pytest
from publish_results import MARKED, read_published, with_tables
from report import rate

from hilam_core.cards import load_card
from hilam_core.errors import DataError

ROOT = Path(__file__).parents[2]
RESULTS = read_published(ROOT / "docs/results")


def test_the_tables_are_made_of_the_files():
    text = (ROOT / "docs/benchmarks.md").read_text()
    assert len(MARKED.findall(text)) >= 2
    assert with_tables(text, RESULTS) == text, "run training/publish_results.py"


def test_the_readme_and_the_card_name_the_rates_of_the_shipped_policy():
    card = load_card(ROOT / "checkpoints/libero_object")
    shipped = {r["placement"]: r for r in RESULTS if r["checkpoint_hash"] == card["weights_sha256"]}
    assert shipped.keys() == {"stored", "scattered"}
    readme = (ROOT / "README.md").read_text()
    for row in card["evaluation"]["results"]:
        result = shipped[row["placement"]]
        value, low, high = rate(result)
        assert f"{value:.1%}" in readme
        assert row["successes"] == round(value * row["n"]) and row["n"] == len(result["episodes"])
        assert row["interval"] == pytest.approx([low, high], abs=1e-4)


def test_every_file_is_a_whole_evaluation():
    for result in RESULTS:
        counts = {task: 0 for task, _, _ in result["episodes"]}
        for task, _, index in sorted(result["episodes"]):
            assert index == counts[task], f"{result['file']}: episode {counts[task]} of {task} is missing"
            counts[task] += 1
        assert len(set(counts.values())) == 1 and 0 < result["share"] <= 1
        assert all(0 < e["steps"] <= result["max_steps"] for e in result["episodes"].values())


def test_a_mark_without_results_is_refused():
    with pytest.raises(DataError, match="no table 'shorts'; there are object"):
        with_tables("<!-- results: shorts -->\n<!-- end -->", RESULTS)
    with pytest.raises(DataError, match="no results for the table 'object'"):
        with_tables("<!-- results: object -->\n<!-- end -->", [])
