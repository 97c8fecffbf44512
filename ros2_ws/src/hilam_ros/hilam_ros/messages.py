"""Between ROS messages and arrays."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image


def ns_to_stamp(stamp_ns: int) -> Time:
    """Integer nanoseconds -> builtin_interfaces/Time."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def twist_message(twist: np.ndarray, stamp: Any, frame: str) -> TwistStamped:
    """A twist float64[6] (m/s, rad/s) in a frame's axes -> geometry_msgs/TwistStamped."""
    msg = TwistStamped()
    msg.header.stamp, msg.header.frame_id = stamp, frame
    msg.twist.linear.x, msg.twist.linear.y, msg.twist.linear.z = map(float, twist[:3])
    msg.twist.angular.x, msg.twist.angular.y, msg.twist.angular.z = map(float, twist[3:])
    return msg


def pose_message(position: np.ndarray, quat_xyzw: np.ndarray, stamp: Any, frame: str) -> PoseStamped:
    """A pose (m, xyzw) in a frame -> geometry_msgs/PoseStamped."""
    msg = PoseStamped()
    msg.header.stamp, msg.header.frame_id = stamp, frame
    at, turned = msg.pose.position, msg.pose.orientation
    at.x, at.y, at.z = map(float, position)
    turned.x, turned.y, turned.z, turned.w = map(float, quat_xyzw)
    return msg


def type_name(kind: type) -> str:
    """A message class -> its name in the graph, "sensor_msgs/msg/Image"."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def image_type(topic: str) -> type:
    """The message class on a camera topic: image_transport names compressed ones `.../compressed`."""
    return CompressedImage if topic.endswith("/compressed") else Image


def image_message(image: np.ndarray, header: Any) -> Image:
    """RGB uint8[H, W, 3] -> sensor_msgs/Image."""
    height, width = image.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    msg.data = array("B", image.tobytes())
    return msg


def camera_info(size: int, focal_px: float, header: Any) -> CameraInfo:
    """A pinhole camera without distortion, square images of `size` pixels, looking at their centre."""
    centre = (size - 1) / 2
    msg = CameraInfo(header=header, height=size, width=size, distortion_model="plumb_bob", d=[0.0] * 5)
    msg.k = [focal_px, 0.0, centre, 0.0, focal_px, centre, 0.0, 0.0, 1.0]
    msg.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    msg.p = [focal_px, 0.0, centre, 0.0, 0.0, focal_px, centre, 0.0, 0.0, 0.0, 1.0, 0.0]
    return msg
