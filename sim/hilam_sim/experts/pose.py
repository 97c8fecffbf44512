"""Poses of the grip site and of objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

_DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Pose:
    """Of the grip site in the world: position [3] in m, rotation [3, 3].

    The rotation's columns: the axis along which the fingers close, the axis across them, the direction in
    which the hand points.
    """

    position: np.ndarray
    rotation: np.ndarray

    def moved(self, offset: np.ndarray | tuple[float, float, float]) -> Pose:
        """Shifted by `offset` [3] in m, world frame."""
        return Pose(self.position + offset, self.rotation)

    def raised_to(self, height_m: float) -> Pose:
        """The same above or below, at a height."""
        return Pose(np.append(self.position[:2], height_m), self.rotation)

    def backed_off(self, distance_m: float) -> Pose:
        """Pulled back against the direction in which the hand points."""
        return Pose(self.position - distance_m * self.rotation[:, 2], self.rotation)


def turned(yaw_rad: float, tilt_rad: float = 0.0) -> np.ndarray:
    """Rotation [3, 3] of a hand pointing down, tilted, then turned about the vertical.

    At zero it closes along the world's y axis. A positive tilt makes the hand point forwards (at zero yaw:
    along x) as well as down, all forwards at pi/2.
    """
    tilt = Rotation.from_euler("y", -tilt_rad).as_matrix()
    return Rotation.from_euler("z", yaw_rad).as_matrix() @ tilt @ _DOWN
