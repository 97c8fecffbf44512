"""Moving parts of fixtures: drawers, doors and knobs, and what the model says of them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from hilam_sim.experts.arm import Arm
from hilam_sim.geometry import geom_points


@dataclass(frozen=True)
class Part:
    """A moving part of a fixture: a drawer, a door or a knob, with one joint."""

    arm: Arm
    name: str
    joint: int

    @staticmethod
    def named(arm: Arm, name: str) -> Part:
        """The part that a goal names: the region of a drawer, or a fixture with one joint."""
        problem = arm.env.problem
        owner = problem.object_sites_dict.get(name) or problem.get_object(name)
        return Part(arm, name, arm.env.model.joint(owner.joints[0]).id)

    @staticmethod
    def before(arm: Arm, region: str) -> Part | None:
        """The part that has to be open for something to be put into a region."""
        problem = arm.env.problem
        site = problem.object_sites_dict.get(region)
        for name, owner in ((region, site), (site.parent_name, problem.get_object(site.parent_name))):
            if owner.joints and site.parent_name in problem.fixtures_dict:
                return Part(arm, name, arm.env.model.joint(owner.joints[0]).id)
        return None

    def holds(self, state: str) -> bool:
        """Whether LIBERO calls the part "open", "close", "turnon" or "turnoff" now."""
        return self.arm.holds(state, self.name)

    def way_left(self, sense: float) -> float:
        """How far, m or rad, the joint can still move towards its upper (+1) or lower (-1) limit."""
        model = self.arm.env.model
        value = self.arm.env.data.qpos[model.jnt_qposadr[self.joint]]
        low, high = model.jnt_range[self.joint]
        return float(max(0.0, high - value if sense > 0 else value - low))

    @property
    def axis(self) -> np.ndarray:
        """Joint axis [3], world frame."""
        return self.arm.env.data.xaxis[self.joint].copy()

    @property
    def anchor(self) -> np.ndarray:
        """A point [3] on the joint's axis, m, world frame."""
        return self.arm.env.data.xanchor[self.joint].copy()

    @property
    def slides(self) -> bool:
        """Whether it is a drawer."""
        return bool(self.arm.env.model.jnt_type[self.joint] == mujoco.mjtJoint.mjJNT_SLIDE)

    def shapes(self) -> list[np.ndarray]:
        """Points [n, 3] in m, world frame, of each geom of the part that can be touched."""
        model, data = self.arm.env.model, self.arm.env.data
        body = model.jnt_bodyid[self.joint]
        touchable = np.flatnonzero((model.geom_bodyid == body) & (model.geom_conaffinity > 0))
        return [geom_points(model, data, geom) for geom in touchable.tolist()]

    def top(self) -> float:
        """Height of its highest point, m."""
        return max(float(points[:, 2].max()) for points in self.shapes())

    def handle(self) -> np.ndarray:
        """Low and high corner [2, 3] of the handle, m, world frame: what moves farthest."""

        def reach(points: np.ndarray) -> float:
            lever = points.mean(axis=0) - self.anchor
            return float(-lever @ self.axis if self.slides else np.linalg.norm(np.cross(self.axis, lever)))

        points = max(self.shapes(), key=reach)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def panel(self) -> np.ndarray:
        """Middle [3] of its largest piece, m, world frame."""
        points = max(self.shapes(), key=lambda points: float(np.ptp(points, axis=0).max()))
        return points.mean(axis=0)

    def outwards(self, point: np.ndarray | None = None) -> np.ndarray:
        """Direction [3] in which a point of it, else the handle, moves when it opens.

        All of LIBERO's drawers and doors open towards lower joint positions.
        """
        lever = (self.handle().mean(axis=0) if point is None else point) - self.anchor
        direction = self.axis if self.slides else np.cross(self.axis, lever)
        return -direction / np.linalg.norm(direction)

    def grip_offset(self) -> np.ndarray:
        """Where along the handle this demonstrator takes it, [3] in m from its middle, at most 9 mm."""
        low, high = self.handle()
        along = np.eye(3)[int(np.argmax(high - low))]
        return 1.5 * self.arm.style.grasp_offset_m[0] * along
