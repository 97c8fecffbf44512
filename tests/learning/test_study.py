"""The study: every method on the same few labelled demonstrations, as one plan."""

import dataclasses
import json
import re

import publish_results
import pytest
import run_study
from plan import StageFailed
from run_study import Config, main, make_plan
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.errors import ConfigError

pytest.importorskip("robosuite")

TRAINING = {"steps": 2, "batch_size": 4, "eval_every": 0}
TINY = {
    "train_lam": {
        "model": {"image_size": 32, "target_size": 16, "latent_dim": 8, "width": 16}
        | {"encoder_stem": 8, "encoder_channels": 16},
        "gap": 4, "min_gap": 2, "max_gap": 6, "train": TRAINING,
    },
    "train_skills": {"model": {"width": 16}, "loss": {"rec_frames": 2}, "train": TRAINING},
    "extract_skills": {"strips": 0},
    "decode_actions": {"steps": 20},
    "evaluate": {"max_steps": 1, "workers": 1, "batch": 1},
}  # fmt: skip


def names(**settings) -> list[str]:
    return [stage.name for stage in make_plan(Config(suite="libero_object", **settings))]


def test_all_methods_share_what_is_learned_once_and_are_measured_alike():
    plan = names(shares=(0.1, 0.5), seeds=(0, 1), methods=("flat", "hilam_decoded"))
    assert plan[:6] == ["collect", "lam", "latents", "skills", "skill labels", "pretrained"]
    assert plan.count("decode 0.1") == plan.count("decode 0.5") == 1, "labels are decoded once a share"
    for method in ("flat", "hilam_decoded"):
        for share in (0.1, 0.5):
            for seed in (0, 1):
                first = plan.index(f"{method} {share} {seed}")
                assert plan[first + 1 : first + 3] == [f"{plan[first]} stored", f"{plan[first]} scattered"]
    assert plan.index("hilam_decoded 0.5 0") < plan.index("flat 0.1 1"), "one seed of everything comes first"
    stages = {s.name: s.config for s in make_plan(Config(shares=(0.1,), seeds=(3,)))}
    policies = [config for name, config in stages.items() if name.endswith(" 3")]
    assert {(c.share, c.train.seed, c.train.steps) for c in policies} == {(0.1, 3, 14_000)}
    assert len(policies) == 5


def test_nothing_is_decoded_where_all_demonstrations_have_labels():
    assert not [name for name in names(shares=(1.0,)) if "decode" in name]


def test_pretraining_can_see_another_suite_alone():
    plan = {s.name: s for s in make_plan(Config(suite="libero_object", video="libero_90", shares=(0.1,)))}
    assert plan["lam"].config.data == plan["pretrained"].config.data == [plan["collect video"].writes]
    assert plan["latents"].config.data == [plan["collect video"].writes, plan["collect"].writes]
    assert plan["flat 0.1 0"].config.data == [plan["collect"].writes]


def test_bad_settings_are_refused():
    for settings, message in (
        ({"suite": "libero"}, "unknown suite 'libero'"),
        ({"shares": (0.0,)}, r"shares must be in \(0, 1\], got \(0.0,\)"),
        ({"methods": ()}, "methods must not be empty"),
    ):
        with pytest.raises(ConfigError, match=message):
            Config(**settings)


@pytest.mark.slow
def test_a_study_runs_to_its_report(tmp_path, monkeypatch, capsys):
    def tiny(cls, settings, config, configure=run_study.configure):
        changes = TINY.get(cls.__module__, {"train": TRAINING} if cls.__module__.endswith("_policy") else {})
        merged = {**settings, **changes}
        if "train" in settings and "train" in changes:
            merged["train"] = {**settings["train"], **changes["train"]}
        return configure(cls, merged, config)

    monkeypatch.setattr(run_study, "configure", tiny)
    file = "pick_up_the_ketchup_and_place_it_in_the_basket_demo.hdf5"
    write_demonstrations(tmp_path / "demos" / file, episodes=6)
    config = Config(
        suite="libero_object", tasks=("pick_up_the_ketchup_and_place_it_in_the_basket",), shares=(0.4,),
        methods=("flat", "flat_decoded", "hilam_decoded"), seeds=(0,), episodes=1, placements=("stored",),
        out=tmp_path / "study", data=tmp_path / "demos", device="cpu",
    )  # fmt: skip
    main(config)
    results = {f.stem: json.loads(f.read_text()) for f in (tmp_path / "study/results").glob("*.json")}
    assert set(results) == {f"{method}_0.4_0_stored" for method in config.methods}
    for method in config.methods:
        card = load_card(tmp_path / "study/policies" / f"{method}_0.4_0", "policy")
        assert results[f"{method}_0.4_0_stored"]["checkpoint_hash"] == card["weights_sha256"]
        assert ("decoded" in card) == ("decoded" in method)
        assert card["data"]["episodes"] == (5 if "decoded" in method else 2)
    assert (tmp_path / "study/report/results.html").is_file()
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "benchmarks.md").write_text("# B\n<!-- results: object -->\nold\n<!-- end -->\nafter\n")
    (docs / "images").mkdir()
    publish_results.main(publish_results.Config([tmp_path / "study/results"], docs))
    kept = {f.stem: json.loads(f.read_text()) for f in (docs / "results").glob("*.json")}
    assert {name.removeprefix("libero_object_") for name in kept} == set(results)
    for name, result in results.items():
        one = kept[f"libero_object_{name}"]
        assert one["method"] == name.partition("_0.4")[0] and (one["share"], one["train_seed"]) == (0.4, 0)
        assert one["checkpoint_hash"] == result["checkpoint_hash"] and one["command"] == result["command"]
        steps = result["episodes"][0]["steps"]
        assert one["episodes"] == [
            {
                "task": one["episodes"][0]["task"],
                "index": 0,
                "success": False,
                "steps": steps,
                "progress": 0.0,
            }
        ]
    text = (docs / "benchmarks.md").read_text()
    assert "flat 40%" in text and "old" not in text and text.endswith("<!-- end -->\nafter\n")
    capsys.readouterr()
    main(config)
    assert capsys.readouterr().out.count("done and unchanged") == 13

    lost = [tmp_path / f"study/results/{method}_0.4_0_stored.json" for method in ("flat", "hilam_decoded")]
    for file in lost:
        file.unlink()
    main(dataclasses.replace(config, jobs=2))
    out = capsys.readouterr().out
    assert out.count("done and unchanged") == 11, "the same results were measured again: same report"
    assert all(file.is_file() for file in lost)
    ends = [re.search(rf"== {name}: \d+ min", out) for name in ("8/13 flat .*", "12/13 hilam_decoded .*")]
    assert out.index("13/13 report") > max(end.start() for end in ends), "the report waits for what it reads"


def test_a_stage_that_fails_ends_the_others_and_is_named(tmp_path):
    config = Config(
        suite="libero_object", tasks=("3",), shares=(0.4,), methods=("flat",), seeds=(0,), jobs=2,
        out=tmp_path / "study", data=tmp_path / "demos",
    )  # fmt: skip
    (tmp_path / "demos").mkdir()
    with pytest.raises(StageFailed, match=r"failed, see .*study/logs/.*: error: .*demos"):
        main(config)
    assert not (tmp_path / "study/report").exists()
