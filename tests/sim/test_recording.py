"""Demonstrations on disk: LIBERO's layout, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hilam_sim import SimError, recording
from hilam_sim.experts import PHASES
from hilam_sim.recording import merge_episodes, record_expert, recorded_attempts, write_episode

PROGRAM = Path(__file__).parents[2] / "training" / "collect_demos.py"


@pytest.fixture(scope="module")
def episode(seeing_env):
    result = record_expert(seeing_env, "scattered", seed=4, attempt=7)
    assert result is not None
    return result


def test_the_file_has_the_official_layout_and_our_extras(seeing_env, episode, tmp_path):
    path = tmp_path / "task_demo.hdf5"
    write_episode(path, seeing_env, episode)
    with h5py.File(path) as file:
        data, demo = file["data"], file["data/demo_0"]
        steps = len(demo["actions"])
        arrays = {
            name: demo[name].shape for name in ("actions", "states", "robot_states", "rewards", "dones")
        }
        assert arrays == {
            "actions": (steps, 7),
            "states": (steps, 110),
            "robot_states": (steps, 9),
            "rewards": (steps,),
            "dones": (steps,),
        }
        assert {name: dataset.shape for name, dataset in demo["obs"].items()} == {
            "agentview_rgb": (steps, 64, 64, 3),
            "eye_in_hand_rgb": (steps, 64, 64, 3),
            "ee_pos": (steps, 3),
            "ee_ori": (steps, 3),
            "ee_states": (steps, 6),
            "gripper_states": (steps, 2),
            "joint_states": (steps, 7),
        }
        upright = episode.observations[0]["agentview"]
        np.testing.assert_array_equal(demo["obs/agentview_rgb"][0][::-1], upright)
        assert demo["dones"][:].tolist() == [0] * (steps - 1) + [1]
        assert {phase.decode() for phase in demo["phases"]} == set(PHASES)
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == seeing_env.instruction
        assert "bbq_sauce_1" in data.attrs["bddl_file_content"]
        assert (data.attrs["num_demos"], data.attrs["total"]) == (1, steps)
        assert (demo.attrs["placement"], demo.attrs["seed"], demo.attrs["attempt"]) == ("scattered", 4, 7)
        assert demo.attrs["num_samples"] == steps


def test_recorded_actions_replay_the_recorded_states(env, seeing_env, episode, tmp_path):
    write_episode(tmp_path / "task_demo.hdf5", seeing_env, episode)
    env.reset(seed=4, options={"placement": "scattered"})
    with h5py.File(tmp_path / "task_demo.hdf5") as file:
        for action, state in zip(file["data/demo_0/actions"], file["data/demo_0/states"], strict=True):
            np.testing.assert_array_equal(env.get_state(), state)
            env.step(action)
    assert env.success()


def test_a_failed_write_leaves_what_was_there(seeing_env, episode, tmp_path, monkeypatch):
    path = tmp_path / "task_demo.hdf5"
    write_episode(path, seeing_env, episode)
    before = path.read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, "_write_arrays", disk_full)
    with pytest.raises(SimError, match="No space left"):
        write_episode(path, seeing_env, episode)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_merging_adds_in_order_and_never_twice(seeing_env, episode, tmp_path):
    path = tmp_path / "task_demo.hdf5"
    for attempts in ([5, 2], [3, 5]):
        for attempt in attempts:
            episode.attempt = attempt
            write_episode(tmp_path / "parts" / f"episode_{attempt}.hdf5", seeing_env, episode)
        merge_episodes(path, (tmp_path / "parts").glob("*.hdf5"))
    assert recorded_attempts(path) == [2, 3, 5]
    assert list((tmp_path / "parts").iterdir()) == []


def test_a_corrupt_file_is_named(tmp_path):
    path = tmp_path / "task_demo.hdf5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(SimError, match=r"task_demo\.hdf5.*move it away"):
        recorded_attempts(path)


def _collect(output, *arguments):
    command = [sys.executable, str(PROGRAM), "--tasks", "3", "--image-size", "32", "--assets", "builtin"]
    return [*command, "--output", str(output), *arguments]


def test_collecting_survives_ctrl_c_and_continues(tmp_path):
    path = tmp_path / "libero_object" / "pick_up_the_bbq_sauce_and_place_it_in_the_basket_demo.hdf5"
    parts = tmp_path / "libero_object" / ".parts"
    process = subprocess.Popen(_collect(tmp_path, "--demos", "50"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(parts.rglob("episode_*.hdf5")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run again to continue" in errors
    kept = recorded_attempts(path)
    assert kept == list(range(len(kept)))
    assert kept
    wanted = len(kept) + 1
    done = subprocess.run(
        _collect(tmp_path, "--demos", str(wanted), "--workers", "2"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(recorded_attempts(path)) == wanted


def test_bad_arguments_end_in_one_line(tmp_path):
    for arguments in (("--tasks", "99"), ("--scattered-fraction", "2"), ("--compression", "rar")):
        done = subprocess.run(_collect(tmp_path, *arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


def test_an_output_that_cannot_be_made_is_named_in_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = subprocess.run(_collect(tmp_path / "taken"), capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.strip() == f"error: --output {tmp_path / 'taken'} cannot be made: Not a directory"
