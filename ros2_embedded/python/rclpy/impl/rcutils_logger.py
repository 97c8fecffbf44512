from rclpy.logging import RcutilsLogger

__all__ = ["RcutilsLogger"]
