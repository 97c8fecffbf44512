"""What the launch files share: settings, nodes, and what happens when a process ends."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from hilam_ros.profile import load_settings, read_comments, read_profile

# Ctrl-C: SIGINT at once, SIGTERM after 2 s, SIGKILL a second later.
SIGTERM_TIMEOUT_S, SIGKILL_TIMEOUT_S = "2", "1"


def config_folder() -> Path:
    """Where the profiles are installed."""
    return Path(get_package_share_directory("hilam_ros")) / "config"


def declare_settings(without: Collection[str] = ()) -> list[DeclareLaunchArgument]:
    """Every setting of a profile as an argument of the launch; empty: what the profile says."""
    path = config_folder() / "libero.yaml"
    known, comments = read_profile(path), read_comments(path)
    return [
        DeclareLaunchArgument(name, default_value="", description=describe(value, comments.get(name)))
        for name, value in known.items()
        if name not in without
    ]


def describe(value: Any, comment: str | None) -> str:
    """What `--show-args` says of a setting."""
    default = f"empty: as the profile says, libero.yaml has {value!r}"
    return f"{comment} ({default})" if comment else default


def chosen_settings(context: LaunchContext) -> tuple[Path, dict[str, Any]]:
    """The profile's file, and every setting: of the command line, the profile or libero.yaml."""
    arguments = context.launch_configurations
    known = read_profile(config_folder() / "libero.yaml")
    given = {name: arguments[name] for name in known if name in arguments}
    profile = LaunchConfiguration("profile").perform(context)
    return load_settings(profile, config_folder(), given)


def make_node(name: str, parameters: dict[str, Any]) -> Node:
    """One process; numerical libraries keep to one thread, or the processes fight for the cores."""
    return Node(
        package="hilam_ros",
        executable=name,
        name=name,
        output="screen",
        emulate_tty=True,
        parameters=[parameters],
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
