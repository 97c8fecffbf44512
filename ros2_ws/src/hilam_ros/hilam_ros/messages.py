"""Between ROS messages and arrays."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

CHANNELS = {"rgb8": slice(None), "bgr8": slice(None, None, -1)}


def stamp_to_ns(stamp: Any) -> int:
    """builtin_interfaces/Time -> integer nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def image_array(msg: Image) -> np.ndarray:
    """sensor_msgs/Image -> RGB uint8[H, W, 3]."""
    if msg.encoding not in CHANNELS:
        raise ValueError(
            f"image encoding '{msg.encoding}' of {msg.header.frame_id} is not one of {', '.join(CHANNELS)}"
        )
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)
    pixels = rows[:, : msg.width * 3].reshape(msg.height, msg.width, 3)
    return pixels[..., CHANNELS[msg.encoding]]


def image_message(image: np.ndarray, header: Any) -> Image:
    """RGB uint8[H, W, 3] -> sensor_msgs/Image."""
    height, width = image.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    msg.data = array("B", image.tobytes())
    return msg
