"""What the launch files share: the policy's nodes, and what happens when a process ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import LaunchContext
from launch.actions import RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch_ros.actions import Node

# Ctrl-C: SIGINT at once, SIGTERM after 2 s, SIGKILL a second later.
SIGTERM_TIMEOUT_S, SIGKILL_TIMEOUT_S = "2", "1"
POLICY_NODES = ("camera_ingest", "skill_planner", "action_executor")


def make_node(name: str, profile: Path, parameters: dict[str, Any]) -> Node:
    """One process; numerical libraries keep to one thread, or the processes fight for the cores."""
    return Node(
        package="hilam_ros",
        executable=name,
        name=name,
        output="screen",
        emulate_tty=True,
        parameters=[str(profile), parameters],
        additional_env={"OMP_NUM_THREADS": "1"},
        sigterm_timeout=SIGTERM_TIMEOUT_S,
        sigkill_timeout=SIGKILL_TIMEOUT_S,
    )


def end_together(last: str | None = None) -> RegisterEventHandler:
    """When `last` ends well, so does the launch; any other end of a process fails the launch, by name."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Shutdown] | None:
        if context.is_shutdown:
            return None
        name = event.process_name.rsplit("-", 1)[0]
        if name == last and event.returncode == 0:
            return [Shutdown(reason="the episode is over")]
        how = (
            f"was killed by signal {-event.returncode}"
            if event.returncode < 0
            else f"ended with {event.returncode}"
        )
        raise RuntimeError(f"{name} {how}; its last messages are above. Everything else is being stopped")

    return RegisterEventHandler(OnProcessExit(on_exit=on_exit))
