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
    episodes = read_demonstrations(official.parent)
    assert [episode.key.split("/")[1] for episode in episodes] == ["demo_0", "demo_1", "demo_2", "demo_10"]
    assert [len(episode) for episode in episodes] == [7, 5, 4, 6]
    episode = episodes[3]
    with h5py.File(official) as file:
        demo = file["data/demo_10"]
        np.testing.assert_array_equal(episode.actions, demo["actions"][:].astype(np.float32))
        np.testing.assert_array_equal(episode.states["ee_quat"], demo["robot_states"][:, 5:])
        np.testing.assert_array_equal(episode.states["gripper_qpos"], demo["obs/gripper_states"][:])
        np.testing.assert_array_equal(episode.states["joint_pos"], demo["obs/joint_states"][:])
    assert episode.instruction == INSTRUCTION
    assert episode.phases is None
    assert episode.attrs == {"num_samples": 6}


def test_official_images_come_upright(official):
    for frames in read_demonstrations(official)[0].frames.values():
        assert frames.shape == (7, 128, 128, 3)
        assert (frames[:, 0, 0] == (200, 0, 0)).all()
        assert (frames[:, -1, 0] == (0, 100, 0)).all()


def test_rotation_vectors_agree_with_the_robot_states(official):
    exact = read_demonstrations(official)[0].states["ee_quat"]
    with h5py.File(official, "a") as file:
        for demo in file["data"].values():
            del demo["robot_states"]
    np.testing.assert_allclose(read_demonstrations(official)[0].states["ee_quat"], exact, atol=1e-12)


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


def change(path, name, values):
    with h5py.File(path, "r+") as file:
        del file["data"][name]
        file["data"][name] = values


def change_attribute(path, name, value):
    with h5py.File(path, "r+") as file:
        if value is None:
            del file["data"].attrs[name]
        else:
            file["data"].attrs[name] = value


@pytest.mark.parametrize("convention", ["opengl", "opencv", None])
def test_images_are_upright_in_either_convention(official, convention):
    change_attribute(official, "macros_image_convention", convention)
    if convention == "opencv":
        with h5py.File(official) as file:
            upright = file["data/demo_0/obs/agentview_rgb"][:][:, ::-1]
        change(official, "demo_0/obs/agentview_rgb", upright)
    frames = read_demonstrations(official, ("agentview",))[0].frames["agentview"]
    assert (frames[:, 0, 0] == (200, 0, 0)).all() and (frames[:, -1, 0] == (0, 100, 0)).all()


def test_the_convention_is_found_where_the_environment_is_described(official):
    upside_down = read_demonstrations(official, ("agentview",))[0].frames["agentview"][:]
    change_attribute(official, "macros_image_convention", None)
    change_attribute(official, "env_args", json.dumps({"type": 1, "macros_image_convention": "opencv"}))
    as_stored = read_demonstrations(official, ("agentview",))[0].frames["agentview"]
    np.testing.assert_array_equal(as_stored, upside_down[:, ::-1])


def refused(path, message):
    with pytest.raises(DataError, match=message) as error:
        read_demonstrations(path)
    assert path.name in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_image_convention_is_named(official):
    change_attribute(official, "macros_image_convention", "metal")
    refused(official, "macros_image_convention is 'metal', neither 'opengl'")


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("KITCHEN_SCENE3_turn_on_the_stove_demo", "turn on the stove"),
        ("LIVING_ROOM_SCENE10_put_the_mug_on_the_plate_demo", "put the mug on the plate"),
        ("STUDY_SCENE1_pick_up_the_book", "pick up the book"),
        ("open_the_middle_drawer_demo", "open the middle drawer"),
    ],
)
def test_an_instruction_from_the_file_name_leaves_out_the_scene(official, name, instruction):
    change_attribute(official, "problem_info", None)
    path = official.rename(official.with_name(f"{name}.hdf5"))
    assert read_demonstrations(path)[0].instruction == instruction


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ({"control_freq": 10}, "recorded with control_freq 10, LIBERO's demonstrations with 20"),
        ({"controller_configs": {"type": "JOINT_POSITION"}}, "type 'JOINT_POSITION'.* 'OSC_POSE'"),
        ({"controller_configs": {"control_delta": False}}, "control_delta False"),
        ({"controller_configs": {"output_max": [0.1] * 6}}, r"output_max \[0.1, .*\[0.05, "),
    ],
)
def test_actions_that_mean_something_else_are_refused(official, recorded, message):
    change_attribute(official, "env_args", json.dumps({"env_kwargs": recorded}))
    refused(official, message)


def test_the_controller_as_libero_records_it_is_taken(official):
    controller = {
        "type": "OSC_POSE",
        "input_max": 1,
        "input_min": -1,
        "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
        "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
        "kp": 150,
        "control_delta": True,
    }
    kwargs = {"controller_configs": controller, "control_freq": 20}
    change_attribute(official, "env_args", json.dumps({"type": 1, "env_kwargs": kwargs}))
    assert len(read_demonstrations(official)) == 4


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("actions", np.full((5, 7), 1.5), r"demo_1 has actions up to 1.5, LIBERO's lie in \[-1, 1\]"),
        ("actions", np.zeros((5, 6)), r"demo_1 has actions of shape \[5, 6\].* needs \[5, 7\]"),
        ("actions", np.zeros((5,)), r"demo_1 has actions of shape \[5\].* needs \[5, 7\]"),
        ("actions", np.zeros((0, 7)), "demo_1 is too short, it has 0 actions"),
        ("actions", np.zeros((1, 7)), "demo_1 is too short, it has 1 actions"),
        ("actions", np.zeros((4, 7)), "demo_1 has 5 images of agentview, 4 actions"),
        ("obs/ee_pos", np.zeros((4, 3)), r"demo_1 has ee_pos of shape \[4, 3\].* needs \[5, 3\]"),
        ("obs/joint_states", np.zeros((5, 6)), r"demo_1 has joint_pos of shape \[5, 6\].* needs \[5, 7\]"),
        ("obs/gripper_states", np.zeros((5, 1)), r"demo_1 has gripper_qpos of shape \[5, 1\]"),
        ("robot_states", np.zeros((5, 9)), "demo_1 has ee_quat .0, 0, 0, 0., which is no rotation"),
        ("obs/agentview_rgb", np.zeros((5, 4, 4, 3)), r"images are float64 \[5, 4, 4, 3\]"),
        ("obs/eye_in_hand_rgb", np.zeros((5, 4, 4, 3), np.uint8), "images of different sizes"),
    ],
)
def test_a_demonstration_of_another_shape_is_named(official, name, values, message):
    change(official, f"demo_1/{name}", values)
    refused(official, message)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("actions", "actions"),
        ("robot_states", "ee_quat"),
        ("obs/ee_pos", "ee_pos"),
        ("obs/gripper_states", "gripper_qpos"),
        ("obs/joint_states", "joint_pos"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named_by_file_episode_field_and_step(official, name, field, value):
    with h5py.File(official, "r+") as file:
        file[f"data/demo_2/{name}"][3, -1] = value
    refused(official, f"demo_2 has {field} that are not finite at step 3")


@pytest.mark.parametrize("name", ["demo_x", "demo_", "demo_1b"])
def test_a_demonstration_without_a_number_is_named(official, name):
    with h5py.File(official, "r+") as file:
        file["data"].move("demo_1", name)
    refused(official, f"'data/{name}' has no number: call it demo_0, demo_1")


@pytest.mark.parametrize("name", ["actions", "obs", "obs/agentview_rgb", "obs/ee_pos"])
@pytest.mark.parametrize("values", [3.0, "text"])
def test_something_else_in_the_place_of_an_array_or_group_is_named(official, name, values):
    change(official, f"demo_1/{name}", values)
    refused(official, "is not in LIBERO's layout|of shape|is incomplete|no camera")


def with_gripper(path, command):
    """Fingers that open for three steps and close for two, again and again, under these commands."""
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            closing = np.arange(len(demo["actions"])) % 5 > 2
            width = np.cumsum(np.where(closing, -0.006, 0.004)) + 0.01
            states = np.stack([width, -width], axis=1)
            demo["obs/gripper_states"][:], demo["robot_states"][:, :2] = states, states
            demo["actions"][:, -1] = np.roll(command(closing), -1)
    return path


def test_gripper_commands_that_agree_with_the_fingers_are_taken(official):
    with_gripper(official, lambda closing: np.where(closing, 1.0, -1.0))
    assert len(read_demonstrations(official)) == 4


def test_gripper_commands_of_another_sign_or_range_are_refused(official):
    with_gripper(official, lambda closing: np.where(closing, -1.0, 1.0))
    refused(official, "the fingers open where the gripper command is positive, LIBERO's close")
    with_gripper(official, lambda closing: np.where(closing, 1.0, 0.0))
    refused(official, r"gripper commands in \[0, 1\], LIBERO's are -1 to open and 1 to close")
