"""What safety_monitor adds to the latency of a command, without the topics: a Markdown table.

usage: python tools/time_monitor.py [--commands 20000]

The time is the processor's, so that other programs hardly count. Every command is proposed, limited and
taken, for each profile, with random proposals: half of them a policy's (small changes), half far above every
limit, so that the check whether the arm can still stop runs often.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO / "ros2_ws" / "src" / "hilam_ros"))  # the profiles' reader needs no ROS

from hilam_ros.profile import LIMITS, load_settings  # noqa: E402

from hilam_core.runtime.limits import Limits  # noqa: E402
from hilam_core.runtime.safety import LatchedStop, SafetyMonitor  # noqa: E402
from hilam_core.runtime.timing import summarize_ms  # noqa: E402

CONFIG = REPO / "ros2_ws" / "src" / "hilam_ros" / "config"


@dataclass
class Args:
    commands: int = 20_000
    """How many commands are timed for each profile."""


def time_profile(profile: Path, commands: int) -> dict[str, float]:
    """Latency of one command through the monitor of a profile, in ms."""
    _, settings = load_settings(profile.stem, CONFIG)
    limits = Limits(**{n: tuple(v) if isinstance(v := settings[n], list) else v for n in LIMITS})
    rng, durations_s = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder:
        stop = LatchedStop(Path(folder) / "stop.json")
        poses = settings["command_mode"] == "pose"
        monitor = SafetyMonitor(limits, stop, settings["control_hz"], settings["command_hz"], poses)
        middle_rad = np.mean([limits.joint_min_rad, limits.joint_max_rad], axis=0)
        position = np.mean([limits.workspace_min_m, limits.workspace_max_m], axis=0)
        scale = np.repeat([limits.max_linear_m_s, limits.max_angular_rad_s], 3)
        twist = np.zeros(6)
        for number in range(1, commands + 1):
            now_s = number * monitor.period_s
            now_ns = round(now_s * 1e9)
            wild = number // 200 % 2
            twist = rng.uniform(-3, 3, 6) * scale if wild else 0.9 * twist + 0.05 * rng.normal(size=6) * scale
            began_s = time.thread_time()
            monitor.observe_pose(position, np.array([1.0, 0, 0, 0]), now_ns, now_s)
            monitor.observe_joints(limits.arm_joints, middle_rad, now_ns, now_s)
            monitor.propose(twist, now_ns, now_ns, now_s)
            command = monitor.step(now_ns, now_s)
            durations_s.append(time.thread_time() - began_s)
            position = position + command.twist[:3] * monitor.period_s
    return summarize_ms(durations_s)


def main() -> None:
    args = tyro.cli(Args, description=__doc__)
    print("| profile | p50 ms | p99 ms | largest ms |\n|---|---|---|---|")
    for profile in sorted(CONFIG.glob("*.yaml")):
        times = time_profile(profile, args.commands)
        print(
            f"| {profile.stem} | {times['p50']:.3f} | {times['p99']:.3f} | {times['max']:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
