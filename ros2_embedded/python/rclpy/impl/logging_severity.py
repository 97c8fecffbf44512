from rclpy.logging import LoggingSeverity

__all__ = ["LoggingSeverity"]
