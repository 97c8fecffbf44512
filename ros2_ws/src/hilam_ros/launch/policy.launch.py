"""The policy's half, where the GPU is: ros2 launch hilam_ros policy.launch.py profile:=franka_crisp

arm.launch.py is the other half. Both need the same profile and ROS_DOMAIN_ID, and clocks that agree.
"""

from pathlib import Path

from hilam_ros import POLICY_NODES
from hilam_ros.launching import (
    SIMULATION_ONLY,
    WATCHING,
    bring_up,
    chosen_settings,
    declare_settings,
    end_together,
    make_node,
)
from hilam_ros.profile import check_cameras, default_policy
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from hilam_core.cards import load_whole_card


def start(context: LaunchContext) -> list:
    """Check the checkpoint against the profile, then start the nodes."""
    profile, settings = chosen_settings(context)
    policy = Path(settings["policy"] or default_policy()).absolute()
    check_cameras(load_whole_card(policy, "policy"), policy, settings, profile)
    parameters = settings | {"mode": "realtime", "policy": str(policy)}
    return [end_together(), *bring_up([make_node(name, parameters) for name in POLICY_NODES])]


def generate_launch_description() -> LaunchDescription:
    profile = DeclareLaunchArgument("profile", description="name of a file in the config folder, or a path")
    return LaunchDescription(
        [profile, *declare_settings((*SIMULATION_ONLY, *WATCHING)), OpaqueFunction(function=start)]
    )
