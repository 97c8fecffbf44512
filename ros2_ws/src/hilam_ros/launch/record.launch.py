"""Demonstrations by hand, recorded: ros2 launch hilam_ros record.launch.py profile:=franka_crisp

A joystick or the console's keys drive the arm through the safety monitor. An episode is a goal of the
ExecuteTask action, or lies between recorder/start and recorder/stop; no policy runs.
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
    chosen = {"mode": "realtime", "output": output, "simulated": False, "demonstrate": True}
    parameters = settings | chosen | {"record": True, "teleop": True}
    names = [*ARM_NODES, *companions(parameters), "task_server"]
    nodes = [make_node(name, parameters) for name in names]
    return [end_together(), *watchers(parameters), *bring_up(nodes)]


def generate_launch_description() -> LaunchDescription:
    profile = DeclareLaunchArgument("profile", description="name of a file in the config folder, or a path")
    return LaunchDescription(
        [profile, *declare_settings((*SIMULATION_ONLY, "record", "teleop")), OpaqueFunction(function=start)]
    )
