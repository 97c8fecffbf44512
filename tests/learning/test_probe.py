"""Probes of latent actions: what they read from features that hold the motion, and from those that do not."""

import json

import numpy as np
import probe_latents
import pytest
from programs import LAM, program
from synthetic import write_demonstrations

from hilam_core.data import read_demonstrations
from hilam_core.errors import ConfigError
from hilam_core.lam.probe import MOTION, frame_differences, motion_over_gap, principal_components, probes


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    path = write_demonstrations(tmp_path_factory.mktemp("probe") / "a_demo.hdf5", episodes=8)
    return read_demonstrations(path, ("agentview",))


def test_motion_is_the_displacement_over_the_gap(episodes):
    motion = motion_over_gap(episodes[0], 4)
    position = episodes[0].states["ee_pos"]
    assert motion.shape == (len(episodes[0]) - 4, 7)
    np.testing.assert_allclose(motion[:, :3], position[4:] - position[:-4], atol=1e-6)
    np.testing.assert_allclose(motion[:, 3:], 0, atol=1e-6)


def test_probes_find_what_is_there_and_nothing_else(episodes):
    motions = {e.key: motion_over_gap(e, 4) for e in episodes}
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(7, 12))
    keys = [e.key for e in episodes]
    for informed in (True, False):
        features = {
            key: (motion / 0.02 @ mixed if informed else rng.normal(size=(len(motion), 12))).astype(
                np.float32
            )
            for key, motion in motions.items()
        }
        for probe, r2 in probes(features, motions, keys[:6], keys[6:], steps=300):
            assert np.isnan(r2[2:]).all(), "nothing but x and y moves"
            assert (r2[:2] > 0.9).all() if informed else (r2[:2] < 0.3).all(), probe


def test_components_are_those_of_the_training_clips(episodes):
    differences = {e.key: frame_differences(e, ("agentview",), 4) for e in episodes}
    fitted = [differences[e.key] for e in episodes[:6]]
    components = principal_components(fitted, differences, 5)
    assert all(components[e.key].shape == (len(e) - 4, 5) for e in episodes)
    spread = np.concatenate([components[e.key] for e in episodes[:6]]).std(0)
    assert (np.diff(spread) < 1e-3).all(), "in the order of what they explain"


def test_the_program_writes_every_row(tmp_path):
    write_demonstrations(tmp_path / "data/a_demo.hdf5", episodes=8)
    data = ("--data", "data")
    assert program("train_lam", *LAM, *data, "--train.steps", 2, cwd=tmp_path).code == 0
    assert program("extract_latents", *data, "--out", "latents.h5", cwd=tmp_path).code == 0
    given = ("--latents", "latents.h5", *data, "--shares", 0.3, 1.0, "--steps", 20, "--out", "probe.json")
    result = program("probe_latents", *given, cwd=tmp_path)
    assert result.code == 0, result.errors
    rows = json.loads((tmp_path / "probe.json").read_text())["rows"]
    assert {(r["features"], r["probe"], r["labelled"]) for r in rows} == {
        (features, probe, count)
        for features in ("z^l", "frame differences", "random weights")
        for probe in ("linear", "network")
        for count in (2, 7)
    }
    assert all(list(row["r2"]) == list(MOTION) and row["r2"]["yaw"] is None for row in rows)
    with pytest.raises(ConfigError, match=r"shares must be one or more in \(0, 1\], got \(2,\)"):
        probe_latents.Config(shares=(2,))
