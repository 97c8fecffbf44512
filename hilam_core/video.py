"""Video files in and out (through PyAV)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

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


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 20.0, scale: int = 1) -> None:
    """Write uint8 [H, W, 3] RGB frames as H.264 that browsers play; whole or not at all.

    scale: each pixel becomes a square of so many; scale * H and scale * W must be even.

    Raises:
        DataError: there are no frames, or their sides are odd.
        FileError: the file cannot be written.
    """
    with replacing(path) as draft:
        try:
            with av.open(str(draft), "w", format="mp4") as container:
                _encode(container, frames, fps, scale)
        except (av.FFmpegError, OSError) as error:
            raise FileError(f"cannot write '{path}': {error}") from None


def _encode(
    container: av.container.OutputContainer, frames: Iterable[np.ndarray], fps: float, scale: int
) -> None:
    stream = None
    for image in frames:
        image = np.ascontiguousarray(image.repeat(scale, axis=0).repeat(scale, axis=1))
        if stream is None:
            if image.shape[0] % 2 or image.shape[1] % 2:
                raise DataError(f"H.264 needs even sides, the frames are {image.shape[1]}x{image.shape[0]}")
            # crf 20 shows no artefacts at 128 px; one thread leaves the other cores to the simulation.
            stream = container.add_stream("libx264", rate=round(fps), options={"crf": "20"})
            stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            stream.thread_count = 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    if stream is None:
        raise DataError("no frames to write")
    container.mux(stream.encode())
