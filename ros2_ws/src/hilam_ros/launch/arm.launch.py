"""The policy on an arm whose drivers run already: ros2 launch hilam_ros arm.launch.py profile:=franka_crisp

Nothing moves before a task is published, see docs/deployment.md.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from hilam_ros.launching import POLICY_NODES, end_together, make_node
from hilam_ros.profile import check_cameras, default_policy, load_profile
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from hilam_core.cards import load_whole_card


def start(context: LaunchContext) -> list:
    """Check the checkpoint against the profile, then start the three nodes."""
    config = Path(get_package_share_directory("hilam_ros")) / "config"
    profile_path, profile = load_profile(LaunchConfiguration("profile").perform(context), config)
    given_policy = LaunchConfiguration("policy").perform(context)
    policy = (Path(given_policy) if given_policy else default_policy()).absolute()
    check_cameras(load_whole_card(policy, "policy"), policy, profile, profile_path)
    parameters = {"mode": "realtime", "policy": str(policy)}
    return [end_together(), *(make_node(name, profile_path, parameters) for name in POLICY_NODES)]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("profile", description="name of a file in the config folder, or a path"),
            DeclareLaunchArgument(
                "policy", default_value="", description="checkpoint folder; empty: the shipped one"
            ),
            OpaqueFunction(function=start),
        ]
    )
