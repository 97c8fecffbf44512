"""Video files in and out (through PyAV)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from hilam_core.conventions import CONTROL_HZ
from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov")


def read_video(path: str | Path, fps: float | None = None) -> np.ndarray:
    """All frames as uint8 [T, H, W, 3], RGB, as `read_blocks` gives them."""
    return np.concatenate(list(read_blocks(path, fps)))


def read_blocks(path: str | Path, fps: float | None = None, size: int = 64) -> Iterator[np.ndarray]:
    """Frames as a player shows them, uint8 [size or fewer, H, W, 3], RGB: turned and mirrored as the file's
    display matrix says, with square pixels.

    fps: so many frames a second, each the one on the screen at that time; by default every frame once.

    Raises:
        DataError: the video is missing, corrupt or empty, or changes its size.
    """
    block: list[np.ndarray] = []
    empty = True
    try:
        with av.open(str(path)) as container:
            for frame in _shown(container, fps):
                empty = False
                block.append(frame)
                if len(block) == size:
                    yield np.stack(block)
                    block = []
        if block:
            yield np.stack(block)
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a video: {error}") from None
    if empty:
        raise DataError(f"{path} holds no video frames")


def _shown(container: av.container.InputContainer, fps: float | None) -> Iterator[np.ndarray]:
    stream = container.streams.video[0]
    shape = float(stream.sample_aspect_ratio or 1)
    if fps is None:
        yield from (_picture(frame, shape) for frame in container.decode(stream))
        return
    period = float(1 / (stream.average_rate or fps))
    start, count, shown = None, 0, None
    for i, frame in enumerate(container.decode(stream)):
        time = i * period if frame.time is None else frame.time
        start = time if start is None else start
        picture = _picture(frame, shape)
        # Asked in the middle of each interval: times are rounded to the container's clock.
        while shown is not None and (count + 0.5) / fps < time - start:
            yield shown
            count += 1
        shown, end = picture, time - start + period
    while shown is not None and (count == 0 or (count + 0.5) / fps < end):
        yield shown
        count += 1


def _picture(frame: av.VideoFrame, pixel_shape: float) -> np.ndarray:
    """RGB uint8 [H, W, 3] as shown; pixel_shape: width of a pixel over its height."""
    if pixel_shape != 1:
        frame = frame.reformat(width=max(1, round(frame.width * pixel_shape)))
    picture = frame.to_ndarray(format="rgb24")
    side_data: Any = frame.side_data  # a mapping, but for the stubs
    if (matrix := side_data.get("DISPLAYMATRIX")) is not None:
        # A point (x, y) of the stored picture is shown at (a x + c y, b x + d y), y down.
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]
        if abs(a) < abs(b):  # a quarter turn: rows become columns
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float = CONTROL_HZ, scale: int = 1
) -> None:
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
