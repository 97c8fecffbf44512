"""Velocity commands within limits of speed, acceleration and jerk, from which an arm can always stop in time.

A step is taken only if a stop that follows it stays within every limit. Otherwise the arm takes the first
step of the stop that was found good a step ago. So no limit has to be given up for another one.
"""

from __future__ import annotations

import math

import numpy as np

from hilam_core.runtime.limits import AXES, Limits, limit_norm

# Tuples of floats: a stop is followed through at up to a hundred steps for one command, and numpy would take
# ten times as long for vectors of three.
Vector = tuple[float, float, float]

LINEAR, ANGULAR = slice(0, 3), slice(3, 6)
STILL: Vector = (0.0, 0.0, 0.0)
_SLACK = 1e-9  # rounding, in m and m/s
_FRACTIONS = (0.5, 0.25, 0.0)  # of the motion towards a wall that is too close, tried in turn


class Ramp:
    """A velocity and its acceleration (`change`), which move towards a target within limits."""

    def __init__(self, speed: float, acceleration: float, jerk: float):
        self.speed, self.acceleration, self.jerk = speed, acceleration, jerk
        self.rest()

    def rest(self) -> None:
        """The arm stands still."""
        self.velocity, self.change = STILL, STILL

    def towards(self, target: Vector, velocity: Vector, change: Vector, dt_s: float) -> tuple[Vector, Vector]:
        """Velocity and acceleration a step later, on the fastest way to `target` that ends without a jolt."""
        (vx, vy, vz), (cx, cy, cz) = velocity, change
        ex, ey, ez = target[0] - vx, target[1] - vy, target[2] - vz
        size = math.sqrt(ex * ex + ey * ey + ez * ez)
        ramp = self.jerk * dt_s  # what the acceleration may change in a step
        factor = 0.0
        if size > 0:
            # From m ramps the acceleration falls to zero in m steps, which change the velocity by
            # ramp * dt * m (m + 1) / 2. More than that would overshoot.
            steps = (math.sqrt(1 + 8 * size / (ramp * dt_s)) - 1) / 2
            factor = min(self.acceleration, steps * ramp, size / dt_s) / size
        dx, dy, dz = ex * factor - cx, ey * factor - cy, ez * factor - cz
        turn = math.sqrt(dx * dx + dy * dy + dz * dz)
        factor = ramp / turn if turn > ramp else 1.0
        cx, cy, cz = cx + dx * factor, cy + dy * factor, cz + dz * factor
        velocity = (vx + cx * dt_s, vy + cy * dt_s, vz + cz * dt_s)
        # What is within the limits passes to the last bit.
        return (target if math.dist(velocity, target) < _SLACK else velocity), (cx, cy, cz)


class MotionLimiter:
    """Limits a twist float64[6] (m/s, rad/s); `period_s` is the longest usual time between two steps."""

    def __init__(self, limits: Limits, period_s: float):
        self.period_s = period_s
        self.linear = Ramp(limits.max_linear_m_s, limits.max_linear_m_s2, limits.max_linear_m_s3)
        self.angular = Ramp(limits.max_angular_rad_s, limits.max_angular_rad_s2, limits.max_angular_rad_s3)
        self.low, self.high = limits.workspace_min_m, limits.workspace_max_m
        self.limited: list[str] = []  # the limits that changed the last step
        self._stop_steps = math.ceil(2 * limits.stop_time_s / period_s) + 4

    @property
    def twist(self) -> np.ndarray:
        """The last step's twist float64[6]."""
        return np.array([*self.linear.velocity, *self.angular.velocity])

    @property
    def at_rest(self) -> bool:
        """Whether the last step left the arm standing still, without acceleration."""
        return all(ramp.velocity == ramp.change == STILL for ramp in (self.linear, self.angular))

    def rest(self) -> None:
        """Begin from standstill."""
        self.linear.rest()
        self.angular.rest()

    def step(self, target: np.ndarray, position: np.ndarray | None, dt_s: float) -> np.ndarray:
        """The twist to command now, as near to `target` float64[6] as the limits allow.

        position: where the arm is, float64[3] m; None where that is unknown: the arm stops.
        """
        self.limited = []
        wanted = target if position is not None else np.zeros(6)
        self._advance(self.linear, wanted[LINEAR], position, dt_s, "linear")
        self._advance(self.angular, wanted[ANGULAR], None, dt_s, "angular")
        return self.twist

    def _advance(
        self, ramp: Ramp, target: np.ndarray, position: np.ndarray | None, dt_s: float, name: str
    ) -> None:
        goal = limit_norm(target, ramp.speed)
        if goal is not target:
            self.limited.append(f"{name} speed")
        at = None if position is None else _vector(position)
        wanted, blocked = _vector(goal), set[int]()
        for fraction in (1.0, *_FRACTIONS):
            allowed = _vector([v * fraction if axis in blocked else v for axis, v in enumerate(wanted)])
            velocity, change = ramp.towards(allowed, ramp.velocity, ramp.change, dt_s)
            beyond = self._beyond(ramp, velocity, change, at)
            if not beyond:
                break
            blocked |= beyond
        else:
            velocity, change = ramp.towards(STILL, ramp.velocity, ramp.change, dt_s)
        if blocked and at is not None:
            self.limited += [
                f"workspace {AXES[axis]} {'max' if wanted[axis] > 0 else 'min'}" for axis in sorted(blocked)
            ]
        elif math.dist(velocity, wanted) > _SLACK:
            hard = math.dist(wanted, ramp.velocity) > ramp.acceleration * dt_s
            self.limited.append(f"{name} {'acceleration' if hard else 'jerk'}")
        # Where proposals come at irregular times, a stop may exceed the speed: that counts before the jerk.
        ramp.velocity, ramp.change = _vector(limit_norm(np.array(velocity), ramp.speed)), change

    def _beyond(self, ramp: Ramp, velocity: Vector, change: Vector, at: Vector | None) -> set[int]:
        """The axes on which a stop from here leaves the workspace; all where it exceeds the speed.

        Outside of the workspace, where a person or another controller left the arm, the way back is allowed.
        """
        if self._surely_within(ramp, velocity, change, at):
            return set()
        top, period_s = (ramp.speed + _SLACK) ** 2, self.period_s
        if at is not None:
            low = [min(wall, now) - _SLACK for wall, now in zip(self.low, at, strict=True)]
            high = [max(wall, now) + _SLACK for wall, now in zip(self.high, at, strict=True)]
        for _ in range(self._stop_steps):
            vx, vy, vz = velocity
            if vx * vx + vy * vy + vz * vz > top:
                return {0, 1, 2}
            if at is not None:
                at = at[0] + vx * period_s, at[1] + vy * period_s, at[2] + vz * period_s
                if outside := {axis for axis in range(3) if not low[axis] <= at[axis] <= high[axis]}:
                    return outside
            if velocity == change == STILL:
                break
            velocity, change = ramp.towards(STILL, velocity, change, period_s)
        return set()

    def _surely_within(self, ramp: Ramp, velocity: Vector, change: Vector, at: Vector | None) -> bool:
        """A quick bound that spares the check nearly always: far from walls and below top speed."""
        pull = math.hypot(*change)
        # While the acceleration is turned round, the speed still grows; a step is added for rounding up.
        top = math.hypot(*velocity) + pull * (pull / (2 * ramp.jerk) + self.period_s)
        if top > ramp.speed:
            return False
        if at is None:
            return True
        ramps_s = (pull + ramp.acceleration) / ramp.jerk
        far_m = top * (top / ramp.acceleration + 2 * ramps_s + 3 * self.period_s)
        room = zip(at, self.low, self.high, strict=True)
        return all(low + far_m <= now <= high - far_m for now, low, high in room)


def _vector(values: np.ndarray | list[float]) -> Vector:
    x, y, z = map(float, values)
    return x, y, z
