"""Camera images, raw or compressed, as RGB arrays (the one place that knows encodings); frozen cameras."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from hilam_core.observation import ObservationError

# Bytes a pixel, and which of them are red, green and blue. 8UC3 and 8UC4 name no order: OpenCV's, blue first.
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
    "8UC3": (3, (2, 1, 0)),
    "8UC4": (4, (2, 1, 0)),
}


class FrozenCamera:
    """Notices a camera that sends one picture again and again: a real one never gives the same noise twice.

    limit_s: for how long it may; 0: it is not looked at (a simulation draws the same while nothing moves).
    """

    def __init__(self, limit_s: float):
        self.limit_ns = round(limit_s * 1e9)
        self._data: Any = b""
        self._since_ns = 0

    def problem(self, data: Any, now_ns: int) -> str:
        """What is wrong with the newest image, given its bytes; empty: nothing."""
        if not self.limit_ns:
            return ""
        same = len(data) == len(self._data) and memoryview(data) == memoryview(self._data)
        if not same or now_ns < self._since_ns:
            self._data, self._since_ns = data, now_ns
        age_ns = now_ns - self._since_ns
        return f"has sent one picture for {age_ns * 1e-9:.1f} s" if age_ns > self.limit_ns else ""


def image_array(msg: Any) -> np.ndarray:
    """RGB uint8[H, W, 3] of a sensor_msgs/Image or CompressedImage, of ROS or out of a bag.

    Raises:
        ObservationError: it cannot be read.
    """
    if hasattr(msg, "encoding"):
        return decode_raw(msg.encoding, msg.height, msg.width, msg.step, msg.data)
    return decode_compressed(msg.data)


def decode_raw(encoding: str, height: int, width: int, step: int, data: Any) -> np.ndarray:
    """RGB uint8[height, width, 3] of rows of `step` bytes, which may be padded.

    Raises:
        ObservationError: an unknown encoding, or sizes that contradict each other.
    """
    if encoding not in ENCODINGS:
        raise ObservationError(f"image encoding '{encoding}' is not one of {', '.join(ENCODINGS)}")
    size, order = ENCODINGS[encoding]
    pixels = np.frombuffer(data, np.uint8)
    if not (height > 0 and width > 0 and step >= width * size and len(pixels) == height * step):
        raise ObservationError(
            f"image of {width}x{height} {encoding} in rows of {step} bytes cannot have {len(pixels)} bytes"
        )
    rows = pixels.reshape(height, step)[:, : width * size]
    return rows.reshape(height, width, size)[..., list(order)]


def decode_compressed(data: Any) -> np.ndarray:
    """RGB uint8[H, W, 3] of a JPEG or PNG file.

    Raises:
        ObservationError: the bytes are not such a file.
    """
    file = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(file, cv2.IMREAD_COLOR) if len(file) else None
    except cv2.error:  # a header that promises more pixels than OpenCV reads
        image = None
    if image is None:
        raise ObservationError(f"compressed image of {len(file)} bytes is neither JPEG nor PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
