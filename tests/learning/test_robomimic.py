"""Demonstrations in robomimic's layout, of one arm and of two, through the reader of LIBERO's."""

import json

import h5py
import numpy as np
import pytest

from hilam_core.data import ReadConfig, camera_names, read_demonstrations
from hilam_core.errors import DataError
from hilam_core.observation import proprioception

STEPS = 6


def write_robomimic(path, arms=1, cameras=("agentview", "robot0_eye_in_hand"), **env):
    """A file as robomimic writes it: upright images, a red sky above a green floor."""
    rng = np.random.default_rng(0)
    controller = {"type": "OSC_POSE", "control_delta": True, "output_max": [0.05] * 3 + [0.5] * 3}
    kwargs = {"control_freq": 20, "controller_configs": controller, **env}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(
            {"env_name": "NutAssemblySquare", "type": 1, "env_kwargs": kwargs}
        )
        data.attrs["total"] = 2 * STEPS
        for i in range(2):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"], demo.attrs["model_file"] = STEPS, "<mujoco/>"
            demo["actions"] = rng.uniform(-1, 1, (STEPS, 7 * arms))
            demo["states"], demo["rewards"] = rng.normal(size=(STEPS, 45)), np.zeros(STEPS)
            demo["dones"] = np.zeros(STEPS)
            for group in ("obs", "next_obs"):
                write_observations(demo.create_group(group), arms, cameras, rng)
    return path


def write_observations(obs, arms, cameras, rng):
    for camera in cameras:
        image = np.zeros((STEPS, 84, 84, 3), np.uint8)
        image[:, :42, :, 0], image[:, 42:, :, 1] = 200, 100
        obs[f"{camera}_image"] = image
    obs["object"] = rng.normal(size=(STEPS, 14))
    for arm in range(arms):
        name = f"robot{arm}"
        obs[f"{name}_eef_pos"], obs[f"{name}_eef_quat"] = (
            rng.normal(size=(2, STEPS, 4))[0, :, :3],
            quaternions(rng),
        )
        obs[f"{name}_gripper_qpos"] = rng.uniform(0, 0.04, (STEPS, 2))
        obs[f"{name}_joint_pos"] = rng.normal(size=(STEPS, 7))


def quaternions(rng):
    q = rng.normal(size=(STEPS, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def test_a_file_of_robomimic_reads_like_one_of_libero(tmp_path):
    path = write_robomimic(tmp_path / "image_v15.hdf5")
    assert camera_names(path) == ("agentview", "robot0_eye_in_hand")
    episodes = read_demonstrations(path)
    assert [e.key for e in episodes] == ["image_v15/demo_0", "image_v15/demo_1"]
    with h5py.File(path) as file:
        demo = file["data/demo_1"]
        np.testing.assert_array_equal(episodes[1].actions, demo["actions"][:].astype(np.float32))
        states = [demo[f"obs/robot0_{name}"][:] for name in ("eef_pos", "eef_quat", "gripper_qpos")]
        np.testing.assert_array_equal(episodes[1].proprio, proprioception(*states))
        np.testing.assert_array_equal(episodes[1].states["joint_pos"], demo["obs/robot0_joint_pos"][:])
    assert episodes[0].instruction == "nut assembly square" and episodes[0].has_gripper
    for frames in episodes[0].frames.values():
        assert frames.shape == (STEPS, 84, 84, 3), "images are stored upright"
        assert (frames[:, 0, 0] == (200, 0, 0)).all() and (frames[:, -1, 0] == (0, 100, 0)).all()


def test_other_arms_rates_and_cameras_are_taken(tmp_path):
    path = write_robomimic(tmp_path / "two.hdf5", arms=2, cameras=("shoulderview",), control_freq=10)
    episode = read_demonstrations(path)[0]
    assert (
        episode.actions.shape == (STEPS, 14) and episode.fps == 10 and [*episode.frames] == ["shoulderview"]
    )
    assert len(read_demonstrations(path, config=ReadConfig(fps=5))[0]) == STEPS // 2


def test_the_language_of_an_episode_is_its_instruction(tmp_path):
    path = write_robomimic(tmp_path / "image.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_1"].attrs["ep_meta"] = json.dumps({"lang": "open the left drawer"})
    episodes = read_demonstrations(path)
    assert [e.instruction for e in episodes] == ["nut assembly square", "open the left drawer"]


def test_a_file_without_pictures_is_refused_where_they_are_needed(tmp_path):
    path = write_robomimic(tmp_path / "low_dim.hdf5", cameras=())
    assert len(read_demonstrations(path, ())) == 2
    with pytest.raises(DataError, match=r"low_dim\.hdf5 has no camera"):
        camera_names(path)
