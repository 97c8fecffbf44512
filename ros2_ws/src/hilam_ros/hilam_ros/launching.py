"""What the launch files share: settings, nodes, and what happens when a process ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from hilam_core.files import writable_folder
from hilam_ros.profile import ProfileError, load_settings, read_comments, read_profile

# Ctrl-C: SIGINT at once, SIGTERM after 2 s, SIGKILL a second later.
SIGTERM_TIMEOUT_S, SIGKILL_TIMEOUT_S = "2", "1"
INSIST_S = 12.0  # after the lease of killed nodes; by then the imports of a node are over
# What only looks at the stack, by the setting that starts it: its name, and the package that it needs.
WATCHERS = {"console": ("console", "nicegui"), "rerun": ("rerun_logger", "rerun")}
# Where one of these ends, the stack goes on: no arm waits for a picture of it, or for a recording.
SPARED = ("recorder", *(name for name, _ in WATCHERS.values()))
# Settings of the nodes beside the arm, which the policy's half has not.
WATCHING = ("console", "console_host", "console_port", "console_token_file", "rerun", "watch_image_hz")
# Settings of the simulation, which no arm has.
SIMULATION_ONLY = (
    *("mode", "suite", "task", "instruction", "placement", "init_state", "seed", "max_steps", "assets"),
    *("demonstrate", "serve", "goals", "results", "step_timeout_s"),
)


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


def record_folder(settings: dict[str, Any]) -> str:
    """Where episodes are recorded, a folder that can be written to; empty: nowhere."""
    chosen = settings["output"]
    return "" if chosen == "none" else str(writable_folder(Path(chosen).absolute()))


def companions(settings: dict[str, Any]) -> list[str]:
    """The nodes that settings of their names add.

    Raises:
        ProfileError: a person cannot drive in lockstep, where time stands still.
    """
    if settings["teleop"] and settings["mode"] == "lockstep":
        raise ProfileError("teleop needs mode:=realtime: in lockstep, time waits for the policy")
    return ["recorder"] * settings["record"] + ["teleop"] * settings["teleop"]


def make_node(name: str, parameters: dict[str, Any]) -> LifecycleNode:
    """One process; numerical libraries keep to one thread, or the processes fight for the cores."""
    return LifecycleNode(
        package="hilam_ros",
        executable=name,
        name=name,
        namespace="",
        output="screen",
        emulate_tty=True,
        parameters=[parameters],
        additional_env={"OMP_NUM_THREADS": "1"},
        sigterm_timeout=SIGTERM_TIMEOUT_S,
        sigkill_timeout=SIGKILL_TIMEOUT_S,
    )


def watchers(settings: dict[str, Any]) -> list[LifecycleNode]:
    """The nodes that only look, as the settings say; each begins by itself, nobody waits for it.

    Raises:
        ProfileError: a package that one needs is not installed.
    """
    wanted = [setting for setting in WATCHERS if settings[setting]]
    for setting in wanted:
        _, package = WATCHERS[setting]
        if not find_spec(package):
            raise ProfileError(
                f"{setting}:=true needs a package that is missing: pip install 'hilam[{setting}]'"
            )
    if settings["rerun"] and not settings["output"]:
        raise ProfileError("rerun:=true writes into the folder of the records: output is none")
    return [make_node(WATCHERS[setting][0], settings | {"autostart": True}) for setting in wanted]


def bring_up(nodes: Sequence[LifecycleNode], then: Sequence[Action] = ()) -> list[Action]:
    """Start and configure the nodes side by side; when all are configured, activate them in this order.

    A node that cannot be configured ends its process. `then`: what follows when all are active.
    """
    untold, unconfigured = list(nodes), list(nodes)

    def insist(context: LaunchContext, wait_s: float = INSIST_S) -> list[Action]:
        """Ask again: a request is lost where nodes of the same names are still known, as after a kill."""
        again = [_change(node, Transition.TRANSITION_CONFIGURE) for node in untold]
        once_more = OpaqueFunction(
            function=insist, args=[2 * wait_s]
        )  # a busy machine needs no more requests
        return [*again, TimerAction(period=wait_s, actions=[once_more])] if again else []

    def on_told(context: LaunchContext, node: LifecycleNode) -> list[Action]:
        if node in untold:
            untold.remove(node)
        return []

    def on_configured(context: LaunchContext, node: LifecycleNode) -> list[Action]:
        if node in unconfigured:  # not when somebody deactivates or configures it again
            unconfigured.remove(node)
            return [] if unconfigured else [_change(nodes[0], Transition.TRANSITION_ACTIVATE)]
        return []

    actions: list[Action] = [*nodes]
    for node, following in zip(nodes, [*nodes[1:], None], strict=True):
        after = [_change(following, Transition.TRANSITION_ACTIVATE)] if following else [*then]
        actions += [
            _when(node, "unconfigured", "configuring", [OpaqueFunction(function=on_told, args=[node])]),
            _when(node, "configuring", "inactive", [OpaqueFunction(function=on_configured, args=[node])]),
            _when(node, "activating", "active", after, handle_once=True),
        ]
    return [*actions, OpaqueFunction(function=insist)]


def _change(node: LifecycleNode, transition: int) -> EmitEvent:
    event = ChangeState(lifecycle_node_matcher=lambda action: action is node, transition_id=transition)
    return EmitEvent(event=event)


def _when(
    node: LifecycleNode, start: str, goal: str, then: Sequence[Action], **options: Any
) -> RegisterEventHandler:
    handler = OnStateTransition(
        target_lifecycle_node=node, start_state=start, goal_state=goal, entities=list(then), **options
    )
    return RegisterEventHandler(handler)


def end_together(last: str | None = None) -> RegisterEventHandler:
    """When `last` ends well, so does the launch; any other end of a process fails the launch, by name, but
    that of one that it goes on without."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action] | None:
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
        if name in SPARED:
            return [LogInfo(msg=f"{name} {how}; its last messages are above. The stack goes on without it")]
        raise RuntimeError(f"{name} {how}; its last messages are above. Everything else is being stopped")

    return RegisterEventHandler(OnProcessExit(on_exit=on_exit))
