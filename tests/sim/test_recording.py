"""Demonstrations on disk: LIBERO's layout, whole or not at all."""

import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from tqdm import tqdm

from hilam_core.errors import FileError
from hilam_sim import LiberoEnv, SimError, recording
from hilam_sim.assets import resolve_assets
from hilam_sim.experts import PHASES
from hilam_sim.recording import (
    Recording,
    check_collection,
    merge_episodes,
    record_expert,
    recorded_attempts,
    recorded_task,
    write_episode,
)

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
        assert {"reach", "grasp", "release"} < {phase.decode() for phase in demo["phases"]} <= set(PHASES)
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == seeing_env.instruction
        assert "bbq_sauce_1" in data.attrs["bddl_file_content"]
        assert (data.attrs["num_demos"], data.attrs["total"]) == (1, steps)
        assert (demo.attrs["placement"], demo.attrs["seed"], demo.attrs["attempt"]) == ("scattered", 4, 7)
        assert demo.attrs["num_samples"] == steps
        np.testing.assert_array_equal(demo.attrs["init_state"], demo["states"][0])
        assert 'file="stable_hope_objects/' in demo.attrs["model_file"]
        assert str(Path.home()) not in demo.attrs["model_file"]
        assert data.attrs["macros_image_convention"] == "opengl"
        assert json.loads(data.attrs["env_args"])["env_kwargs"]["camera_heights"] == 64
        drawn = resolve_assets("builtin")
        assert (data.attrs["assets"], data.attrs["assets_hash"]) == ("builtin", drawn.content_hash)
    assert recorded_task(path) == seeing_env.task


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
    with pytest.raises(FileError, match=r"cannot write '.*task_demo\.hdf5': No space left"):
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
    assert list(recorded_attempts(path).values()) == [2, 3, 5]
    assert list((tmp_path / "parts").iterdir()) == []


def test_merging_counts_attempts_and_refuses_what_was_recorded_otherwise(seeing_env, episode, tmp_path):
    path = tmp_path / "task_demo.hdf5"
    for attempt, seed in ((0, 1), (1, 1), (2, 9)):
        episode.attempt = attempt
        part = tmp_path / f"episode_{attempt}.hdf5"
        write_episode(part, seeing_env, episode, collection={"seed": seed, "image_size": 64})
    merge_episodes(path, [tmp_path / "episode_0.hdf5", tmp_path / "episode_1.hdf5"], num_attempts=8)
    with h5py.File(path) as file:
        assert (file["data"].attrs["num_attempts"], file["data"].attrs["success_rate"]) == (8, 0.25)
    before = path.read_bytes()
    with pytest.raises(SimError, match=r"episode_2\.hdf5 was recorded with seed 9, not 1"):
        merge_episodes(path, [tmp_path / "episode_2.hdf5"])
    assert path.read_bytes() == before
    with pytest.raises(SimError, match="recorded with image_size 64, not 128: choose the same, or another"):
        check_collection(path, {"seed": 1, "image_size": 128})


def test_a_corrupt_file_is_named(tmp_path):
    path = tmp_path / "task_demo.hdf5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(SimError, match=r"task_demo\.hdf5.*move it away"):
        recorded_attempts(path)


def test_a_torn_episode_is_named_and_nothing_is_lost(seeing_env, episode, tmp_path):
    parts = [tmp_path / f"episode_{attempt}.hdf5" for attempt in (0, 1)]
    for attempt, part in enumerate(parts):
        episode.attempt = attempt
        write_episode(part, seeing_env, episode)
    parts[1].write_bytes(parts[1].read_bytes()[:-1000])
    with pytest.raises(SimError, match=r"cannot read .*episode_1\.hdf5.*move it away"):
        merge_episodes(tmp_path / "task_demo.hdf5", parts)
    assert sorted(tmp_path.iterdir()) == parts


def test_what_others_recorded_is_not_added_to(seeing_env, episode, tmp_path):
    path = tmp_path / "task_demo.hdf5"
    write_episode(path, seeing_env, episode)
    with h5py.File(path, "a") as file:
        del file["data/demo_0"].attrs["attempt"]
    with pytest.raises(SimError, match=r"demo_0 has no 'attempt': not by collect_demos\.py"):
        recorded_attempts(path)


@contextmanager
def _disk_with(size):
    """No file can grow beyond `size` bytes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_a_full_disk_is_one_line_and_what_was_finished_stays_readable(seeing_env, episode, tmp_path, share):
    for attempt in (0, 1):
        episode.attempt = attempt
        write_episode(tmp_path / "parts" / f"episode_{attempt}.hdf5", seeing_env, episode)
    parts = sorted((tmp_path / "parts").iterdir())
    size = int(share * parts[0].stat().st_size)
    with _disk_with(size), pytest.raises(FileError, match=r"cannot write '.*late\.hdf5'") as error:
        write_episode(tmp_path / "parts" / "late.hdf5", seeing_env, episode)
    assert "\n" not in str(error.value)
    with _disk_with(parts[0].stat().st_size + size), pytest.raises(FileError, match="task_demo"):
        merge_episodes(tmp_path / "task_demo.hdf5", parts)
    assert sorted((tmp_path / "parts").iterdir()) == parts
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]
    merge_episodes(tmp_path / "task_demo.hdf5", parts)
    assert list(recorded_attempts(tmp_path / "task_demo.hdf5").values()) == [0, 1]


# The program.


def _collect(output, *arguments):
    command = [sys.executable, str(PROGRAM), "--tasks", "3", "--image-size", "32", "--assets", "builtin"]
    return [*command, "--out", str(output), *arguments]


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
    assert "the same command continues" in errors
    kept = list(recorded_attempts(path).values())
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


@pytest.fixture(scope="module")
def wandering(tmp_path_factory):
    """A file of two short episodes of a task with fixtures, in which the arm wanders about."""
    folder = tmp_path_factory.mktemp("wandering")
    path = folder / "libero_goal" / "turn_on_the_stove_demo.hdf5"
    with closing(LiberoEnv("libero_goal", "turn on the stove", image_size=32, assets="builtin")) as env:
        for seed in (1, 2):
            episode = Recording("scattered", seed, attempt=seed)
            observation, _ = env.reset(seed=seed, options={"placement": "scattered"})
            for action in np.random.default_rng(seed).uniform(-1, 1, (10, 7)):
                episode.observations.append(observation)
                episode.states.append(env.get_state())
                episode.actions.append(action)
                episode.phases.append("reach")
                observation, *_ = env.step(action)
            drawn = {"image_size": 32, "assets": "builtin", "assets_hash": env.assets_hash, "quality": "fast"}
            collection = {"seed": 0, **drawn}
            write_episode(folder / f"episode_{seed}.hdf5", env, episode, collection=collection)
    merge_episodes(path, folder.glob("episode_*.hdf5"))
    return path


def _images(path):
    with h5py.File(path) as file:
        return {
            f"{name}/{key}": demo["obs"][key][:]
            for name, demo in file["data"].items()
            for key in ("agentview_rgb", "eye_in_hand_rgb")
        }


def _rerender(source, output, *arguments):
    command = [sys.executable, str(PROGRAM), "--rerender", str(source), "--out", str(output)]
    return subprocess.run(
        [*command, "--assets", "builtin", *arguments], capture_output=True, text=True, timeout=120
    )


def test_images_drawn_again_are_the_same_to_the_bit(wandering, tmp_path):
    done = _rerender(wandering.parent, tmp_path, "--image-size", "32")
    assert done.returncode == 0, done.stderr
    again = tmp_path / "libero_goal" / wandering.name
    before, after = _images(wandering), _images(again)
    assert len(before) == 4
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    with h5py.File(wandering) as old, h5py.File(again) as new:
        assert dict(new["data"].attrs) == dict(old["data"].attrs)
        for name in ("states", "actions", "phases", "obs/ee_pos"):
            np.testing.assert_array_equal(new["data/demo_1"][name][:], old["data/demo_1"][name][:])


def test_images_are_drawn_again_at_another_size_and_never_mixed(wandering, tmp_path):
    done = _rerender(wandering, tmp_path, "--image-size", "48")
    assert done.returncode == 0, done.stderr
    again = tmp_path / "libero_goal" / wandering.name
    small, large = _images(wandering)["demo_1/agentview_rgb"], _images(again)["demo_1/agentview_rgb"]
    assert large.shape == (10, 48, 48, 3)
    assert np.abs(large.mean(axis=(1, 2)) - small.mean(axis=(1, 2))).max() < 3  # the same scene
    with h5py.File(again) as file:
        assert json.loads(file["data"].attrs["collection"])["image_size"] == 48
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"]["camera_widths"] == 48
    refused = _rerender(wandering, tmp_path, "--image-size", "32")
    assert "recorded with image_size 48, not 32" in refused.stderr
    refused = _rerender(wandering, wandering.parents[1], "--image-size", "32")
    assert "would overwrite itself" in refused.stderr
    refused = _rerender(tmp_path / "nothing", tmp_path)
    assert refused.stderr.strip() == f"error: no demonstrations (*_demo.hdf5) in {tmp_path / 'nothing'}"


def test_continuing_with_other_settings_is_refused(wandering):
    command = [sys.executable, str(PROGRAM), "--suite", "libero_goal", "--tasks", "turn on the stove"]
    done = subprocess.run(
        [*command, "--out", str(wandering.parents[1]), "--image-size", "32", "--assets", "builtin"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "was recorded with disturbed_fraction None, not 0.15: choose the same, or another" in done.stderr


class _FailingPool:
    """Every second attempt fails at first, then all do."""

    def __init__(self, episode, env):
        self.jobs, self.episode, self.env = [], episode, env

    @property
    def pending(self):
        return len(self.jobs)

    def submit(self, number, job):
        self.jobs.append((number, job))

    def collect(self):
        number, job = self.jobs.pop(0)
        if number % 2 or number > 6:
            return number, "no recipe for 'dance'"
        self.episode.attempt = number
        write_episode(job.part, self.env, self.episode)
        return number, None


def test_a_task_that_fails_too_often_is_given_up_and_what_succeeded_is_kept(
    seeing_env, episode, tmp_path, capsys
):
    collect = runpy.run_path(str(PROGRAM))
    args = collect["Config"](demos=30, out=tmp_path, min_success_rate=0.3)
    with tqdm(disable=True) as bar:
        pool = _FailingPool(episode, seeing_env)
        assert not collect["collect_task"](args, seeing_env.task, pool, bar)
    assert "4/21 attempts succeeded, given up: no recipe for 'dance'" in capsys.readouterr().out
    path = tmp_path / "libero_object" / f"{seeing_env.task.name}_demo.hdf5"
    assert list(recorded_attempts(path).values()) == [0, 2, 4, 6]
    with h5py.File(path) as file:
        assert file["data"].attrs["success_rate"] == 4 / 21


def test_bad_arguments_end_in_one_line(tmp_path):
    for arguments in (
        ("--tasks", "99"),
        ("--scattered-fraction", "2"),
        ("--seed", "-1"),
        ("--demos", "0"),
        ("--suite", "libero_goal", "libero_10"),
    ):
        done = subprocess.run(_collect(tmp_path, *arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


def test_an_output_that_cannot_be_made_is_named_in_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = subprocess.run(_collect(tmp_path / "taken"), capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.strip() == f"error: cannot write to the folder '{tmp_path / 'taken'}': File exists"
