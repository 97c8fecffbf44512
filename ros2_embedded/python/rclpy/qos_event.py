from rclpy.event_handler import *  # noqa: F403
