"""A person drives: a joystick's axes and buttons, or keys held down, as what an arm is proposed.

Times (`now_s`) are seconds of a steady clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hilam_core.errors import ConfigError

JOYSTICK, KEYS = "joystick", "keys"
# Three periods of a console at 10 Hz: a lost message does not stop the arm, a window that has gone does.
SILENT_S = 0.3
DEAD_ZONE = 0.08  # sticks that are let go rest up to so far from 0
GRIPPER_KEY = "g"
KEY_AXES = {"w": 0, "s": 0, "a": 1, "d": 1, "r": 2, "f": 2, "i": 3, "k": 3, "j": 4, "l": 4, "u": 5, "o": 5}
FORWARD_KEYS = {"w", "a", "r", "i", "j", "u"}


@dataclass(frozen=True)
class TeleopSettings:
    """How a person drives this arm, by the profile's names."""

    joy_axes: tuple[int, ...] = (1, 0, 4, 6, 7, 3)
    """Axes of the joystick for x y z and turns about x y z; -1: none."""
    joy_signs: tuple[float, ...] = (1.0,) * 6
    joy_deadman_button: int = 4
    joy_gripper_button: int = 0
    teleop_linear_m_s: float = 0.15
    """Speed of a stick pushed all the way, and of a key."""
    teleop_angular_rad_s: float = 0.5

    def __post_init__(self) -> None:
        if self.joy_deadman_button == self.joy_gripper_button:
            raise ConfigError(f"joy_deadman_button and joy_gripper_button are both {self.joy_gripper_button}")


class Teleop:
    """Who drives, and what is proposed.

    The joystick drives while its deadman button is down, the keys while one is down and the joystick does
    not. Either ends at once when its messages stop.
    """

    def __init__(self, settings: TeleopSettings):
        self.settings = settings
        self.scale = np.repeat([settings.teleop_linear_m_s, settings.teleop_angular_rad_s], 3)
        self.problem = ""  # why the last message was not used
        self._sticks: tuple[float, np.ndarray] | None = None  # when, and deflections of a driving joystick
        self._pressed: tuple[float, frozenset[str]] | None = None
        self._gripper_down = {JOYSTICK: False, KEYS: False}
        self._toggles = 0

    def joystick(self, axes: Sequence[float], buttons: Sequence[int], now_s: float) -> None:
        """Take in a joystick's state: axes in [-1, 1], buttons 0 or 1."""
        chosen = self.settings
        self._sticks, self.problem = None, self._unsound(axes, buttons)
        if self.problem:
            return
        driving = bool(buttons[chosen.joy_deadman_button])
        self._press_gripper(JOYSTICK, bool(buttons[chosen.joy_gripper_button]), driving)
        if driving:
            raw = np.array([axes[axis] if axis >= 0 else 0.0 for axis in chosen.joy_axes])
            moved = np.where(np.abs(raw) < DEAD_ZONE, 0.0, np.clip(raw, -1.0, 1.0))
            self._sticks = now_s, moved * np.array(chosen.joy_signs)

    def _unsound(self, axes: Sequence[float], buttons: Sequence[int]) -> str:
        chosen = self.settings
        if len(axes) <= max(chosen.joy_axes):
            return f"the joystick has {len(axes)} axes, joy_axes names axis {max(chosen.joy_axes)}"
        most = max(chosen.joy_deadman_button, chosen.joy_gripper_button)
        if len(buttons) <= most:
            return f"the joystick has {len(buttons)} buttons, the profile names button {most}"
        return "" if all(map(math.isfinite, axes)) else "an axis of the joystick is not finite"

    def keys(self, pressed: Collection[str], now_s: float) -> None:
        """Take in the keys that are down."""
        known = frozenset(pressed) & (KEY_AXES.keys() | {GRIPPER_KEY})
        self._pressed = (now_s, known) if known else None
        self._press_gripper(KEYS, GRIPPER_KEY in known, driving=bool(known))

    def _press_gripper(self, source: str, down: bool, driving: bool) -> None:
        self._toggles += down and driving and not self._gripper_down[source]
        self._gripper_down[source] = down

    def source(self, now_s: float) -> str:
        """Who drives now; empty: nobody."""
        for source, state in ((JOYSTICK, self._sticks), (KEYS, self._pressed)):
            if state is not None and 0 <= now_s - state[0] <= SILENT_S:
                return source
        return ""

    def twist(self, now_s: float) -> np.ndarray:
        """The proposed twist float64[6], m/s and rad/s in base axes; zero where nobody drives."""
        source = self.source(now_s)
        if source == JOYSTICK and self._sticks is not None:
            return self._sticks[1] * self.scale
        deflection = np.zeros(6)
        if source == KEYS and self._pressed is not None:
            for key in self._pressed[1] - {GRIPPER_KEY}:
                deflection[KEY_AXES[key]] += 1.0 if key in FORWARD_KEYS else -1.0
        return deflection * self.scale

    def toggled(self) -> bool:
        """Whether the gripper is to go to its other end: pressed an odd number of times since last asked."""
        odd, self._toggles = self._toggles % 2 == 1, 0
        return odd
