"""The launch's own node, for timers in ROS time and for lifecycle nodes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from launch_ros.node import PARAMETERS


def get_ros_node(context) -> Any:
    """The node, which spins in a thread until the launch ends. It follows SetUseSimTime."""
    from rclpy.parameter import Parameter

    node = context.resource("ROS node", _spinning_node)
    for owner, values in context.launch_configurations.get(PARAMETERS, ()):
        if owner is None and isinstance(values, dict) and "use_sim_time" in values:
            node.set_parameters([Parameter("use_sim_time", value=values["use_sim_time"])])
    return node


@contextmanager
def _spinning_node() -> Iterator[Any]:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    ros = rclpy.Context()
    rclpy.init(args=[], context=ros, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f"launch_ros_{os.getpid()}", context=ros)
    executor = SingleThreadedExecutor(context=ros)
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=[executor], name="launch_ros", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        ros.try_shutdown()


def _spin(executor: Any) -> None:
    from rclpy.executors import ExternalShutdownException, ShutdownException

    with suppress(ExternalShutdownException, ShutdownException):
        executor.spin()
