"""From cameras and an arm to what a policy reads: one preprocessing for training, evaluation and robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from transforms3d.quaternions import qconjugate, qmult

from hilam_core.conventions import CAMERAS
from hilam_core.errors import HilamError

PROPRIO_DIM = 8
DOWN_WXYZ = np.array([0.0, 1.0, 0.0, 0.0])  # the gripper pointing straight down: half a turn about x


class ObservationError(HilamError):
    """An observation that does not fit what the policy was made for. The message is one line."""


@dataclass(frozen=True)
class ObservationSpec:
    """What a policy must be shown: camera names in order, side of the square images in pixels, length of
    proprioception."""

    cameras: tuple[str, ...] = CAMERAS
    image_size: int = 128
    proprio_dim: int = PROPRIO_DIM


@dataclass(frozen=True)
class RawObservation:
    """One instant as the robot reports it: upright RGB uint8 [H, W, 3] per camera, pose in the world frame
    (m, xyzw), two fingers (m)."""

    images: Mapping[str, np.ndarray]
    ee_pos: np.ndarray
    ee_quat: np.ndarray
    gripper_qpos: np.ndarray

    @classmethod
    def from_env(cls, obs: Mapping[str, Any]) -> RawObservation:
        """From the observation dictionary of LiberoEnv."""
        images = {name: value for name, value in obs.items() if getattr(value, "ndim", 0) == 3}
        try:
            return cls(images, obs["ee_pos"], obs["ee_quat"], obs["gripper_qpos"])
        except KeyError as error:
            raise ObservationError(f"observation lacks {error}; it has {sorted(obs)}") from None


@dataclass(frozen=True)
class Observation:
    """What a policy reads: uint8 [S, S, 3] per camera and float32 [8] proprioception."""

    images: dict[str, np.ndarray] = field(default_factory=dict)
    proprio: np.ndarray = field(default_factory=lambda: np.zeros(PROPRIO_DIM, np.float32))


def proprioception(ee_pos: np.ndarray, ee_quat: np.ndarray, gripper_qpos: np.ndarray) -> np.ndarray:
    """Proprioceptive vector float32 [..., 8]: position (m), rotation vector from straight down (rad), two
    fingers (m).

    Args are [..., 3] m, [..., 4] xyzw and [..., 2] m. Measuring rotation from the downward pose keeps it near
    zero, where a raw axis-angle would jump between pi and -pi.
    """
    position, quaternion, fingers = (np.asarray(a, np.float64) for a in (ee_pos, ee_quat, gripper_qpos))
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    # R(q) R_down^T with R_down a half turn about x. transforms3d has w first, here in a leading axis.
    w_first = np.moveaxis(quaternion[..., [3, 0, 1, 2]], -1, 0)
    cosine, *axis = qmult(w_first, qconjugate(DOWN_WXYZ))
    # The angle by arctan2: transforms3d's comes from arccos, which loses half the digits near zero.
    vector = np.stack(axis, axis=-1) * np.where(cosine < 0, -1.0, 1.0)[..., None]  # the shorter way round
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, np.abs(cosine)[..., None])
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return np.concatenate([position, vector * scale, fingers], axis=-1).astype(np.float32)


def central_square(images: Any) -> Any:
    """The central square of images [..., H, W, C], arrays or tensors: a view, what every model is shown."""
    height, width = images.shape[-3:-1]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side, :]


def prepare_image(image: np.ndarray, size: int) -> np.ndarray:
    """Crop to the central square and resize an RGB uint8 [H, W, 3] image to [size, size, 3]; the identity at
    that size."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ObservationError(
            f"image must be uint8 [height, width, 3], got {image.dtype} {list(image.shape)}"
        )
    image = central_square(image)
    side = len(image)
    if side != size:
        image = cv2.resize(
            image, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        )
    return np.ascontiguousarray(image)


def stack_images(images: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [B, H, W, 3] of images [H, W, 3]: as they are where they agree in size, else their central
    squares at the shortest side among them."""
    if len({image.shape for image in images}) == 1:
        return np.stack(images)
    side = min(min(image.shape[:2]) for image in images)
    return np.stack([prepare_image(image, side) for image in images])


def preprocess(raw: RawObservation, spec: ObservationSpec) -> Observation:
    """One raw observation as the policy reads it.

    Raises:
        ObservationError: a camera is missing, an image is not uint8 RGB, or the arm's state is not finite
        or mis-shaped.
    """
    missing = [name for name in spec.cameras if name not in raw.images]
    if missing:
        raise ObservationError(f"camera {missing[0]!r} is missing; the observation has {sorted(raw.images)}")
    for name, value, length in (
        ("ee_pos", raw.ee_pos, 3),
        ("ee_quat", raw.ee_quat, 4),
        ("gripper_qpos", raw.gripper_qpos, 2),
    ):
        value = np.asarray(value)
        if value.shape != (length,) or not np.isfinite(value).all():
            raise ObservationError(f"{name} must be {length} finite numbers, got {value.tolist()}")
    if not np.any(raw.ee_quat):
        raise ObservationError("ee_quat must be a rotation, got [0, 0, 0, 0]")
    images = {name: prepare_image(raw.images[name], spec.image_size) for name in spec.cameras}
    return Observation(images, proprioception(raw.ee_pos, raw.ee_quat, raw.gripper_qpos))
