"""Entry points. Until a node is built, which takes seconds, Ctrl-C ends its process at once and silently."""

import os
import signal
from functools import partial
from importlib import import_module


def start(node: str) -> None:
    """Import the node's module, which is slow, and run it."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    import_module(f"hilam_ros.{node}").main()


libero_bridge = partial(start, "libero_bridge")
camera_ingest = partial(start, "camera_ingest")
skill_planner = partial(start, "skill_planner")
action_executor = partial(start, "action_executor")
safety_monitor = partial(start, "safety_monitor")
task_server = partial(start, "task_server")
recorder = partial(start, "recorder")
teleop = partial(start, "teleop")
run_tasks = partial(start, "run_tasks")
simulated_arm = partial(start, "simulated_arm")
check_arm = partial(start, "check_arm")
console = partial(start, "console")
rerun_logger = partial(start, "rerun_logger")
