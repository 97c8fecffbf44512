"""LIBERO's own HDF5 files, as its `create_dataset` lays them out, through the same reader as ours."""

import json

import h5py
import numpy as np
import pytest

from hilam_core.data import read_demonstrations
from hilam_core.errors import DataError

INSTRUCTION = "pick up the alphabet soup and place it in the basket"
NAME = "pick_up_the_alphabet_soup_and_place_it_in_the_basket_demo.hdf5"
STEPS = {"demo_0": 7, "demo_1": 5, "demo_10": 6, "demo_2": 4}  # h5py lists them in this order


@pytest.fixture
def official(tmp_path):
    """A file with the groups, types and attributes of the published ones; a red sky above a green floor."""
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / NAME, "w") as file:
        data = file.create_group("data")
        data.attrs["env_name"] = "Libero_Floor_Manipulation"
        data.attrs["problem_info"] = json.dumps(
            {
                "problem_name": "libero_floor_manipulation",
                "domain_name": "robosuite",
                "language_instruction": INSTRUCTION,
            }
        )
        data.attrs["macros_image_convention"] = "opengl"
        data.attrs["bddl_file_name"] = "chiliocosm/bddl_files/libero_object/" + NAME[:-10] + ".bddl"
        data.attrs["bddl_file_content"] = "(define (problem LIBERO_Floor_Manipulation) ...)"
        data.attrs["env_args"] = json.dumps({"type": 1, "env_kwargs": {"camera_heights": 128}})
        data.attrs["num_demos"], data.attrs["total"] = len(STEPS), sum(STEPS.values())
        for name, steps in STEPS.items():
            _write_official(data.create_group(name), steps, rng)
    return tmp_path / NAME


def _write_official(demo, steps, rng):
    states = rng.normal(size=(steps, 110))
    demo.attrs["num_samples"], demo.attrs["init_state"] = steps, states[0]
    demo.attrs["model_file"] = "<mujoco>" + " " * 100_000 + "</mujoco>"
    last = np.zeros(steps, np.uint8)
    last[-1] = 1
    fingers, position = rng.uniform(0, 0.04, (steps, 2)), rng.normal(size=(steps, 3))
    angle = np.linspace(2.9, 3.1, steps)
    quaternion = np.stack([np.sin(angle / 2), 0 * angle, 0 * angle, np.cos(angle / 2)], axis=1)
    rotation = np.stack([angle, 0 * angle, 0 * angle], axis=1)
    demo["actions"] = rng.uniform(-1, 1, (steps, 7))
    demo["states"], demo["rewards"], demo["dones"] = states, last, last
    demo["robot_states"] = np.hstack([fingers, position, quaternion])
    upright = np.zeros((steps, 128, 128, 3), np.uint8)
    upright[:, :64, :, 0] = 200
    upright[:, 64:, :, 1] = 100
    obs = demo.create_group("obs")
    obs["agentview_rgb"] = obs["eye_in_hand_rgb"] = upright[:, ::-1]
    obs["ee_pos"], obs["ee_ori"] = position, rotation
    obs["ee_states"] = np.hstack([position, rotation])
    obs["gripper_states"], obs["joint_states"] = fingers, rng.normal(size=(steps, 7))


def test_an_official_file_reads_like_one_of_ours(official):
    episodes = read_demonstrations(official.parent, tasks=[NAME.removesuffix("_demo.hdf5")])
    assert [episode.key.split("/")[1] for episode in episodes] == ["demo_0", "demo_1", "demo_2", "demo_10"]
    assert [len(episode) for episode in episodes] == [7, 5, 4, 6]
    episode = episodes[3]
    with h5py.File(official) as file:
        demo = file["data/demo_10"]
        np.testing.assert_array_equal(episode.actions, demo["actions"][:].astype(np.float32))
        np.testing.assert_array_equal(episode.ee_quat, demo["robot_states"][:, 5:])
        np.testing.assert_array_equal(episode.gripper_qpos, demo["obs/gripper_states"][:])
        np.testing.assert_array_equal(episode.joint_pos, demo["obs/joint_states"][:])
    assert episode.instruction == INSTRUCTION
    assert episode.phases is None
    assert episode.attrs == {"num_samples": 6}


def test_official_images_come_upright(official):
    for frames in read_demonstrations(official)[0].frames.values():
        assert frames.shape == (7, 128, 128, 3)
        assert (frames[:, 0, 0] == (200, 0, 0)).all()
        assert (frames[:, -1, 0] == (0, 100, 0)).all()


def test_rotation_vectors_agree_with_the_robot_states(official):
    exact = read_demonstrations(official)[0].ee_quat
    with h5py.File(official, "a") as file:
        for demo in file["data"].values():
            del demo["robot_states"]
    np.testing.assert_allclose(read_demonstrations(official)[0].ee_quat, exact, atol=1e-12)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("obs/gripper_states", "gripper_states"),
        ("obs/eye_in_hand_rgb", "no camera 'eye_in_hand' in demo_1; there are: agentview"),
        ("actions", "actions"),
        ("obs", "obs"),
    ],
)
def test_what_an_official_file_lacks_is_named(official, missing, message):
    with h5py.File(official, "a") as file:
        del file["data/demo_1"][missing]
    with pytest.raises(DataError, match=message) as error:
        read_demonstrations(official)
    assert NAME in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 100, 50_000])
def test_a_download_that_broke_off_is_named(official, kept):
    official.write_bytes(official.read_bytes()[:kept])
    with pytest.raises(DataError, match="cannot be read as HDF5") as error:
        read_demonstrations(official)
    assert NAME in str(error.value)
    assert "\n" not in str(error.value)


def test_instructions_written_as_lists_or_quoted_are_plain(official):
    for written in ([*INSTRUCTION], f'"{INSTRUCTION}"'):
        with h5py.File(official, "a") as file:
            file["data"].attrs["problem_info"] = json.dumps({"language_instruction": written})
        assert read_demonstrations(official)[0].instruction == INSTRUCTION
