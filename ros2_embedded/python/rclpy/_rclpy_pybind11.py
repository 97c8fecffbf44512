from rclpy.exceptions import InvalidHandle, RCLError

__all__ = ["InvalidHandle", "RCLError"]
