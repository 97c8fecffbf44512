"""The policy on an arm whose drivers run already: ros2 launch hilam_ros arm.launch.py profile:=franka_crisp

Nothing moves before a task is published, see docs/deployment.md.
"""

from pathlib import Path

from hilam_ros import POLICY_NODES
from hilam_ros.launching import bring_up, chosen_settings, declare_settings, end_together, make_node
from hilam_ros.profile import check_cameras, default_policy, require_limits
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from hilam_core.cards import load_whole_card

SIMULATION_ONLY = ("mode", "suite", "task", "init_state", "seed", "max_steps", "assets", "output")


def start(context: LaunchContext) -> list:
    """Check the profile and the checkpoint against it, then start the nodes."""
    profile, settings = chosen_settings(context)
    require_limits(profile, context.launch_configurations)
    policy = Path(settings["policy"] or default_policy()).absolute()
    check_cameras(load_whole_card(policy, "policy"), policy, settings, profile)
    parameters = settings | {"mode": "realtime", "policy": str(policy)}
    return [end_together(), *bring_up([make_node(name, parameters) for name in POLICY_NODES])]


def generate_launch_description() -> LaunchDescription:
    profile = DeclareLaunchArgument("profile", description="name of a file in the config folder, or a path")
    return LaunchDescription([profile, *declare_settings(SIMULATION_ONLY), OpaqueFunction(function=start)])
