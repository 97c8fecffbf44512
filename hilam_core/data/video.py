"""Video files in and out (through PyAV)."""

import os
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from hilam_core.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov")


def read_video(path: str | Path) -> np.ndarray:
    """All frames as uint8 [T, H, W, 3], RGB. Raises DataError when the video is missing, corrupt or empty."""
    try:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a video: {error}") from None
    if not frames:
        raise DataError(f"{path} holds no video frames")
    return np.stack(frames)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 20.0) -> None:
    """Write uint8 [H, W, 3] RGB frames (even H and W) as H.264 that browsers play; whole or not at all."""
    draft = Path(path).with_name(f".{Path(path).name}")
    try:
        with av.open(str(draft), "w") as container:
            _encode(container, frames, fps)
        os.replace(draft, path)
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be written: {error}") from None
    finally:
        draft.unlink(missing_ok=True)


def _encode(container: av.container.OutputContainer, frames: Iterable[np.ndarray], fps: float) -> None:
    stream = None
    for image in frames:
        if stream is None:
            stream = container.add_stream("libx264", rate=round(fps))
            stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            stream.options = {"crf": "20"}
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")):
            container.mux(packet)
    if stream is None:
        raise DataError("no frames to write")
    for packet in stream.encode():
        container.mux(packet)
