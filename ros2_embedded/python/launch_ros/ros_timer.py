"""Timers in ROS time."""

from __future__ import annotations

import asyncio

from launch.actions import TimerAction

from launch_ros.ros_adapters import get_ros_node


class RosTimer(TimerAction):
    """Actions after `period` seconds of ROS time: of /clock after SetUseSimTime(True), else wall time."""

    async def wait(self, context, period_s: float) -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        node = get_ros_node(context)
        timer = node.create_timer(period_s, lambda: loop.call_soon_threadsafe(over.set))
        try:
            await over.wait()
        finally:
            node.destroy_timer(timer)
