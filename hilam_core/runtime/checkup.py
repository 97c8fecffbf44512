"""What can be said of an arm before it may move: its state, its pictures, and the commands it would get."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hilam_core.errors import DataError
from hilam_core.runtime.goals import Pose
from hilam_core.runtime.images import decode_compressed
from hilam_core.runtime.limits import AXES, Limits
from hilam_core.runtime.units import CommandScale

_SIDE_PX = 32  # coarse enough that other objects and another light hardly count
_CLEARLY = 0.05  # by so much another view must correlate better before it is believed
_TURNS = ("upright", "turned left", "upside down", "turned right")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    sound: bool
    text: str


def read_pictures(folder: Path, cameras: Sequence[str]) -> dict[str, np.ndarray]:
    """A picture RGB uint8[H, W, 3] of each camera, from the training data: `<camera>.png` or `.jpg`.

    Raises:
        DataError: a camera has none, or one that cannot be read.
    """
    found = {}
    for camera in cameras:
        path = next((p for end in ("png", "jpg") if (p := folder / f"{camera}.{end}").is_file()), None)
        if path is None:
            raise DataError(
                f"no picture '{folder / camera}.png': save one of this camera's training images there"
            )
        found[camera] = decode_compressed(path.read_bytes())
    return found


def check_picture(camera: str, image: np.ndarray, pictures: Mapping[str, np.ndarray]) -> Finding:
    """Whether an image RGB uint8[H, W, 3] is of this camera, upright, and red where it should be red.

    pictures: one of each camera, of the training data; without any, only darkness is noticed.
    """
    height, width = image.shape[:2]
    name = f"{camera}: {width}x{height}"
    if image.max() < 16:
        return Finding(False, f"{name}, all black: is the lens covered, the exposure set?")
    if not pictures:
        return Finding(True, f"{name}, not compared: no pictures of the training data given")
    seen = _small(image)
    scores = {
        (other, turn, mirrored, blue): _likeness(_turned(seen, turn, mirrored, blue), _small(picture))
        for other, picture in pictures.items()
        for turn, mirrored, blue in itertools.product(range(4), (False, True), (False, True))
    }
    best = max(scores, key=lambda view: scores[view])
    as_is = scores[camera, 0, False, False]
    if scores[best] < as_is + _CLEARLY:
        return Finding(True, f"{name}, like the training data (correlation {as_is:.2f})")
    other, turn, mirrored, blue = best
    words = [f"shows {other}"] if other != camera else []
    words += [_TURNS[-turn % 4]] if turn else []
    words += ["mirrored"] if mirrored else []
    words += ["with red and blue exchanged"] if blue else []
    return Finding(
        False, f"{name}, {', '.join(words)} (correlation {scores[best]:.2f}, as it is {as_is:.2f})"
    )


def _small(image: np.ndarray) -> np.ndarray:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float64)


def _turned(image: np.ndarray, turn: int, mirrored: bool, blue: bool) -> np.ndarray:
    """The image as it would be were it turned back, mirrored back and its colours exchanged back."""
    image = image[:, ::-1] if mirrored else image
    image = image[..., ::-1] if blue else image
    return np.rot90(image, turn)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    # Each channel's own mean stays in: which channel is the brightest tells red from blue.
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def check_pose(pose: Pose, limits: Limits) -> Finding:
    """Whether the arm stands inside its workspace."""
    place = " ".join(f"{axis} {value:.3f}" for axis, value in zip(AXES, pose.position, strict=True))
    outside = [
        f"{axis} beyond [{low:g}, {high:g}]"
        for axis, value, low, high in zip(
            AXES, pose.position, limits.workspace_min_m, limits.workspace_max_m, strict=True
        )
        if not low <= value <= high
    ]
    if outside:
        return Finding(False, f"pose: {place} m, outside of the workspace: {', '.join(outside)}")
    return Finding(True, f"pose: {place} m, inside the workspace")


def check_joints(positions: Mapping[str, float], limits: Limits) -> list[Finding]:
    """Whether every joint is there and clear of its limits."""
    missing = [joint for joint in limits.arm_joints if joint not in positions]
    if missing:
        known = ", ".join(positions) or "none"
        return [Finding(False, f"joints: '{missing[0]}' is missing; there are {known}")]
    found = []
    for joint, low, high in zip(limits.arm_joints, limits.joint_min_rad, limits.joint_max_rad, strict=True):
        room = min(positions[joint] - low, high - positions[joint])
        if not room > limits.joint_margin_rad:  # also where it is not finite
            found.append(
                Finding(
                    False,
                    f"joint {joint}: {positions[joint]:.3f} rad, limits [{low:g}, {high:g}], margin "
                    f"{limits.joint_margin_rad:g}",
                )
            )
    return found or [Finding(True, f"joints: all {len(limits.arm_joints)} are clear of their limits")]


def check_gripper(fingers: Mapping[str, float], names: Sequence[str], scale: CommandScale) -> Finding:
    """Whether the fingers are where an open or closed gripper, or one between, would have them."""
    if missing := [name for name in names if name not in fingers]:
        return Finding(
            False, f"gripper: joint '{missing[0]}' is missing; there are {', '.join(fingers) or 'none'}"
        )
    measured_m = fingers[names[0]]
    span_m = scale.gripper_closed_m - scale.gripper_open_m
    closed = (measured_m - scale.gripper_open_m) / span_m
    text = f"gripper: {names[0]} at {measured_m:.4f} m is {closed:.0%} closed, says the profile: look at it"
    return Finding(-0.1 <= closed <= 1.1, text)
