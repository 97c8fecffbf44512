"""A LIBERO task in simulation: ros2 launch hilam_ros libero_sim.launch.py task:=3 init_state:=7

console:=true opens a page for the operator at http://127.0.0.1:8080
serve:=true performs none, but waits for goals of the ExecuteTask action until Ctrl-C.
demonstrate:=true lets a scripted expert drive instead of a policy, record:=true records.
mode:=lockstep (the default) takes one step per command, deterministically; mode:=realtime 20 a second.
"""

from pathlib import Path

from hilam_ros import ARM_NODES, STACK_NODES
from hilam_ros.launching import (
    bring_up,
    chosen_settings,
    companions,
    declare_settings,
    end_together,
    make_node,
    record_folder,
    watchers,
)
from hilam_ros.profile import ProfileError, check_cameras, default_policy
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction

from hilam_core.cards import assets_warning, load_whole_card, trained_assets
from hilam_sim.assets import resolve_assets
from hilam_sim.tasks import get_task, initial_states


def start(context: LaunchContext) -> list:
    """Check every setting before any process starts: what is wrong ends the launch with one line."""
    profile, settings = chosen_settings(context)
    task = get_task(settings["suite"], settings["task"])
    count = len(initial_states(task))
    if settings["placement"] == "stored" and settings["init_state"] >= count:
        unknown = settings["init_state"]
        raise ProfileError(f"unknown init_state '{unknown}' of {task.name}: choose 0 to {count - 1}")
    policy, card = ("", {}) if settings["demonstrate"] else checked_policy(profile, settings)
    assets = resolve_assets(settings["assets"] or (trained_assets(card) if card else "auto"))
    warning = assets_warning(card, assets.kind, assets.content_hash) if card else ""
    output = record_folder(settings)

    chosen = {
        "policy": policy,
        "task": task.name,
        "assets": assets.kind,
        "output": output,
        "simulated": True,
    }
    last = [] if settings["serve"] else ["run_tasks"]
    drivers = ARM_NODES if settings["demonstrate"] else STACK_NODES
    names = ["libero_bridge", *drivers, *companions(settings), "task_server", *last]
    return [
        end_together(last="run_tasks"),
        *([LogInfo(msg=warning)] if warning else []),
        *watchers(settings | chosen),
        *bring_up([make_node(name, settings | chosen) for name in names]),
    ]


def checked_policy(profile: Path, settings: dict) -> tuple[str, dict]:
    """The checkpoint's folder and its card; ProfileError where it does not fit the profile."""
    policy = Path(settings["policy"] or default_policy()).absolute()
    card = load_whole_card(policy, "policy")
    check_cameras(card, policy, settings, profile)
    return str(policy), card


def generate_launch_description() -> LaunchDescription:
    profile = DeclareLaunchArgument(
        "profile", default_value="libero", description="name of a file in the config folder, or a path"
    )
    return LaunchDescription([profile, *declare_settings(), OpaqueFunction(function=start)])
