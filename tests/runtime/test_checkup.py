"""What check_arm says of pictures, pose, joints and gripper."""

import cv2
import numpy as np
import pytest
from small_arm import LIMITS

from hilam_core.errors import DataError
from hilam_core.runtime.checkup import check_gripper, check_joints, check_picture, check_pose, read_pictures
from hilam_core.runtime.goals import Pose
from hilam_core.runtime.units import CommandScale
from hilam_sim import LiberoEnv

CAMERAS = ("agentview", "eye_in_hand")


@pytest.fixture(scope="module")
def scenes():
    """The two cameras' images of two episodes: one of the training data, one now."""
    env = LiberoEnv("libero_object", 0, assets="builtin")
    seen = [env.reset(options={"init_state": index})[0] for index in (0, 7)]
    env.close()
    return [{camera: obs[camera] for camera in CAMERAS} for obs in seen]


VIEWS = {
    "like the training data": (True, lambda images: images["agentview"]),
    "shows eye_in_hand": (False, lambda images: images["eye_in_hand"]),
    "upside down": (False, lambda images: images["agentview"][::-1, ::-1]),
    "turned left": (False, lambda images: np.rot90(images["agentview"])),
    "turned right": (False, lambda images: np.rot90(images["agentview"], -1)),
    "mirrored": (False, lambda images: images["agentview"][:, ::-1]),
    "red and blue exchanged": (False, lambda images: images["agentview"][..., ::-1]),
    "all black": (False, lambda images: images["agentview"] // 64),
}


@pytest.mark.parametrize("words", VIEWS)
def test_a_picture_that_is_not_as_in_training_is_described(scenes, words):
    sound, view = VIEWS[words]
    training, now = scenes
    finding = check_picture("agentview", np.ascontiguousarray(view(now)), training)
    assert finding.sound == sound, finding
    assert words in finding.text


def test_a_wide_picture_is_compared_by_its_central_square(scenes):
    training, now = scenes
    wide = cv2.copyMakeBorder(now["agentview"], 0, 0, 40, 40, cv2.BORDER_REPLICATE)
    assert check_picture("agentview", wide, training).sound


def test_pictures_are_read_by_the_cameras_names(tmp_path, scenes):
    for camera, image in scenes[0].items():
        cv2.imwrite(str(tmp_path / f"{camera}.png"), image[..., ::-1])
    found = read_pictures(tmp_path, CAMERAS)
    np.testing.assert_array_equal(found["agentview"], scenes[0]["agentview"])
    with pytest.raises(DataError, match=r"wrist\.png': save one"):
        read_pictures(tmp_path, ["wrist"])


def test_pose_joints_and_gripper_are_judged_by_the_limits():
    inside, outside = (Pose(np.array([x, 0.0, 0.3]), np.array([1.0, 0, 0, 0])) for x in (0.5, 0.8))
    assert check_pose(inside, LIMITS).sound
    assert "x beyond [0.3, 0.7]" in check_pose(outside, LIMITS).text
    (sound,) = check_joints({"shoulder": 0.0, "elbow": 1.0}, LIMITS)
    assert sound.sound
    (near,) = check_joints({"shoulder": 0.0, "elbow": 1.9}, LIMITS)
    assert not near.sound and "joint elbow: 1.900 rad" in near.text
    assert (
        "'elbow' is missing; there are shoulder, elbow_1"
        in check_joints({"shoulder": 0.0, "elbow_1": 0.0}, LIMITS)[0].text
    )
    assert not check_joints({"shoulder": float("nan"), "elbow": 0.0}, LIMITS)[0].sound
    closed = check_gripper({"left": 0.001, "right": 0.001}, ["left", "right"], CommandScale())
    assert closed.sound and "98% closed" in closed.text
    assert not check_gripper({"left": 0.8, "right": 0.8}, ["left", "right"], CommandScale()).sound
