"""How success is measured: step limits, which episodes, and the interval of a success rate."""

from __future__ import annotations

MAX_STEPS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
