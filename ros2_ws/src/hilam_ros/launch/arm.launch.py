"""The arm's half, on the machine of its drivers: ros2 launch hilam_ros arm.launch.py profile:=franka_crisp

policy.launch.py is the other half. Nothing moves before a goal of the ExecuteTask action. record:=true
records every episode, teleop:=true lets a person take over, console:=true opens a page for the operator.
"""

from hilam_ros import ARM_NODES
from hilam_ros.launching import (
    SIMULATION_ONLY,
    bring_up,
    chosen_settings,
    companions,
    declare_settings,
    end_together,
    make_node,
    record_folder,
    watchers,
)
from hilam_ros.profile import require_limits
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction


def start(context: LaunchContext) -> list:
    """Check the profile, then start the nodes."""
    profile, settings = chosen_settings(context)
    require_limits(profile, context.launch_configurations)
    output = record_folder(settings)
    parameters = settings | {"mode": "realtime", "output": output, "simulated": False}
    names = [*ARM_NODES, *companions(parameters), "task_server"]
    nodes = [make_node(name, parameters) for name in names]
    return [end_together(), *watchers(parameters), *bring_up(nodes)]


def generate_launch_description() -> LaunchDescription:
    profile = DeclareLaunchArgument("profile", description="name of a file in the config folder, or a path")
    return LaunchDescription([profile, *declare_settings(SIMULATION_ONLY), OpaqueFunction(function=start)])
