"""Latency and rate statistics of a control loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

STAGES = ("simulate", "ingest", "plan", "act", "command", "topics", "observation_to_command")


def summarize_ms(durations_s: Iterable[float]) -> dict[str, float]:
    """Durations in seconds -> {count, p50, p99, max} in milliseconds; only {count: 0} without any."""
    values = np.asarray(list(durations_s), np.float64) * 1e3
    if not len(values):
        return {"count": 0}
    p50, p99, largest = (round(float(value), 3) for value in np.percentile(values, [50, 99, 100]))
    return {"count": len(values), "p50": p50, "p99": p99, "max": largest}


class StageStats:
    """Latency, rate and age of a node's last `window` outputs; memory stays bounded."""

    def __init__(self, window: int = 200):
        self.count = 0
        self._latencies_s: deque[float] = deque(maxlen=window)
        self._times_s: deque[float] = deque(maxlen=window)

    def add(self, latency_s: float, now_s: float) -> None:
        """One output: how long it took, and when it was made; a clock set back starts the count anew."""
        if self._times_s and now_s < self._times_s[-1]:
            self._times_s.clear()
        self.count += 1
        self._latencies_s.append(latency_s)
        self._times_s.append(now_s)

    def report(self, now_s: float) -> dict[str, float]:
        """{count, rate_hz, age_s, p50_ms, p99_ms, max_ms}; without outputs only the count."""
        if not self._times_s:
            return {"count": 0}
        span_s = self._times_s[-1] - self._times_s[0]
        latency = summarize_ms(self._latencies_s)
        return {
            "count": self.count,
            "rate_hz": round((len(self._times_s) - 1) / span_s, 2) if span_s > 0 else 0.0,
            "age_s": round(max(0.0, now_s - self._times_s[-1]), 4),
            **{f"{name}_ms": latency[name] for name in ("p50", "p99", "max")},
        }


@dataclass(frozen=True)
class Cycle:
    """Where the time of one control cycle went, as the executor reports it."""

    stamp_ns: int  # of the observation
    skill_seq: int  # the observation that the skill was planned from
    ingest_s: float
    plan_s: float
    act_s: float
    command_s: float
    waited_for_skill: bool  # planning was on this cycle's critical path
    total_s: float | None = None  # from the observation's stamp to the published command

    @property
    def computing_s(self) -> float:
        """What this cycle's command had to wait for."""
        plan_s = self.plan_s if self.waited_for_skill else 0.0
        return self.ingest_s + plan_s + self.act_s + self.command_s


class TimeAccount:
    """Where an episode's time went: in each part of the control loop, and between them (topics)."""

    def __init__(self) -> None:
        self._simulate_s: list[float] = []
        self._totals_s: dict[int, float] = {}
        self._cycles: list[Cycle] = []

    def add_step(self, simulate_s: float) -> None:
        """The arm (its simulation) took a step."""
        self._simulate_s.append(simulate_s)

    def add_command(self, stamp_ns: int, total_s: float) -> None:
        """The command for the observation of this stamp arrived at the arm, `total_s` after that stamp."""
        self._totals_s[stamp_ns] = total_s

    def add_cycle(self, cycle: Cycle) -> None:
        """The executor reported a cycle."""
        self._cycles.append(cycle)

    def durations_s(self) -> dict[str, list[float]]:
        """Durations in seconds by part of the loop: one for each cycle, of `plan` one for each skill."""
        durations: dict[str, list[float]] = {stage: [] for stage in STAGES}
        durations["simulate"] = self._simulate_s
        durations["plan"] = list({cycle.skill_seq: cycle.plan_s for cycle in self._cycles}.values())
        for cycle in self._cycles:
            durations["ingest"].append(cycle.ingest_s)
            durations["act"].append(cycle.act_s)
            durations["command"].append(cycle.command_s)
            total_s = self._total_s(cycle)
            if total_s is not None:
                durations["observation_to_command"].append(total_s)
                durations["topics"].append(max(0.0, total_s - cycle.computing_s))
        return durations

    def cadence(self, control_hz: float) -> dict[str, float]:
        """How the cycles fitted their budget of one control period, from stamp to command.

        {cycles, over_budget, budget_ms, headroom}: headroom is the part of the budget that 99 cycles of 100
        leave free; negative: they do not fit.
        """
        totals_s = [self._total_s(cycle) for cycle in self._cycles]
        totals_ms = [1e3 * total_s for total_s in totals_s if total_s is not None]
        budget_ms = 1e3 / control_hz
        p99_ms = float(np.percentile(totals_ms, 99)) if totals_ms else 0.0
        return {
            "cycles": len(totals_ms),
            "over_budget": sum(total_ms > budget_ms for total_ms in totals_ms),
            "budget_ms": round(budget_ms, 3),
            "headroom": round(1 - p99_ms / budget_ms, 3),
        }

    def _total_s(self, cycle: Cycle) -> float | None:
        """From stamp to command: as the arm measured it, else as the executor did."""
        return self._totals_s.get(cycle.stamp_ns, cycle.total_s)
