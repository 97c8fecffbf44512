"""Limits of the commanded speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpeedLimits:
    """Limits on the norms of the commanded velocity."""

    # Just above what full action on all three axes gives (sqrt(3) times 1 m/s and 10 rad/s): no limit.
    max_linear_m_s: float = 1.75
    max_angular_rad_s: float = 17.5

    def apply(self, twist: np.ndarray) -> np.ndarray:
        """Twist float64[6] (m/s, rad/s) with its linear and its angular part each within its limit."""
        return np.concatenate(
            [limit_norm(twist[:3], self.max_linear_m_s), limit_norm(twist[3:], self.max_angular_rad_s)]
        )


def limit_norm(vector: np.ndarray, limit: float) -> np.ndarray:
    """The vector, shortened to `limit` where it is longer; its direction stays."""
    norm = float(np.linalg.norm(vector))
    return vector if norm <= limit else vector * (limit / norm)
