"""Boundaries beside other ways to cut: on latent actions whose changes are known."""

import json

import numpy as np
import pytest
import score_boundaries
from stores import write_stores
from synthetic import write_demonstrations

from hilam_core.errors import ConfigError
from hilam_core.skills.evaluate import boundary_scores, edit_score, mutual_information
from hilam_core.skills.rivals import change_points, sticky_clusters, strongest, supervised

TRUE = {f"clip{i}": [15 + i % 3, 34 + i % 5, 55] for i in range(12)}
KEYS = list(TRUE)


@pytest.fixture(scope="module")
def latents():
    """Three of four motions one after the other, with noise, 75 steps."""
    rng = np.random.default_rng(0)
    motions = 3 * rng.normal(size=(4, 6))
    found = {}
    for i, (key, times) in enumerate(TRUE.items()):
        segment = np.bincount(times, minlength=75).cumsum()
        found[key] = (motions[(segment + i) % 4] + 0.3 * rng.normal(size=(75, 6))).astype(np.float32)
    return found


def f1(cuts):
    return boundary_scores([(cuts[key], TRUE[key]) for key in cuts], 2)["f1"]


def test_every_way_finds_changes_that_are_plain(latents):
    count = 3 * len(KEYS)
    assert f1(strongest({key: change_points(latents[key]) for key in KEYS}, count)) > 0.95
    assert f1(sticky_clusters(latents, KEYS[:8], KEYS[8:], 12, clusters=4)) > 0.95
    for two_way in (False, True):
        found = supervised(latents, TRUE, KEYS[:8], KEYS[8:], two_way, steps=100)
        assert f1(strongest(found, 12)) > 0.9


def test_an_echo_is_counted_with_its_change(latents):
    """Each change shows twice, 5 steps apart: the later one is the boundary."""
    z = latents["clip0"]
    twice = z + np.concatenate([z[5:], np.repeat(z[-1:], 5, 0)])
    cuts = strongest({"clip0": change_points(twice, echo=5)}, 3)
    assert f1(cuts) == 1.0


def test_the_strongest_of_all_clips_are_taken():
    candidates = {"a": (np.array([3, 9]), np.array([1.0, 5.0])), "b": (np.array([4]), np.array([2.0]))}
    assert strongest(candidates, 2) == {"a": [9], "b": [4]}
    assert strongest(candidates, 9) == {"a": [3, 9], "b": [4]}


def test_scores_of_segments():
    names = ["reach"] * 4 + ["lift"] * 4 + ["carry"] * 4
    assert mutual_information([4, 8], names) == pytest.approx(1) and edit_score([4, 8], names) == 1
    assert mutual_information([], names) == pytest.approx(0)
    assert edit_score([8], names) == pytest.approx(2 / 3), "one phase of three is lost"
    assert edit_score([2, 4, 8], names) == 1, "two segments of one phase are one"


def test_the_program_compares_all_ways_at_both_counts(tmp_path, capsys):
    write_demonstrations(tmp_path / "data/a_demo.hdf5", episodes=8)
    write_stores(tmp_path / "data", tmp_path)
    config = score_boundaries.Config(
        tmp_path / "skills.h5", tmp_path / "latents.h5", [tmp_path / "data"], steps=5, out=tmp_path / "o.json"
    )
    score_boundaries.main(config)
    assert "at the true count: 5.0 cuts an episode, 1 episodes" in capsys.readouterr().out
    rows = json.loads((tmp_path / "o.json").read_text())["rows"]
    assert len(rows) == 16 and len({row["way"] for row in rows}) == 8
    assert all(0 <= row[name] <= 1 for row in rows for name in ("f1@3", "f1@5", "nmi", "edit", "one_frame"))
    with pytest.raises(ConfigError, match="stage must be 1 to 2, got 3"):
        score_boundaries.main(score_boundaries.Config(config.skills, config.latents, config.data, stage=3))
