"""Video files in and out (through PyAV)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from hilam_core.conventions import CONTROL_HZ
from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov")


def read_video(path: str | Path) -> np.ndarray:
    """Every frame once, uint8 [T, H, W, 3], as `frames_at` gives them."""
    return np.stack(list(frames_at(path)))


def frames_at(path: str | Path, times_s: Iterable[float] | None = None) -> Iterator[np.ndarray]:
    """Frames as a player shows them, uint8 [H, W, 3], RGB: turned and mirrored as the file's display matrix
    says, with square pixels.

    times_s: ascending; the frame on the screen at each of them, in seconds after the first one, until the
    video ends. What lies before is skipped, not decoded. By default every frame once.

    Raises:
        DataError: the video is missing, corrupt or empty, or changes its size.
    """
    times = None if times_s is None else iter(times_s)
    shape: tuple[int, ...] | None = None
    try:
        with av.open(str(path)) as container:
            for picture in _shown(container, times):
                if shape not in (None, picture.shape):
                    raise ValueError(f"its size changes from {shape} to {picture.shape}")
                shape = picture.shape
                yield picture
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a video: {error}") from None
    if shape is None and times is None:
        raise DataError(f"{path} holds no video frames")


def _shown(container: av.container.InputContainer, times: Iterator[float] | None) -> Iterator[np.ndarray]:
    stream = container.streams.video[0]
    pixel_shape = float(stream.sample_aspect_ratio or 1)
    if times is None:
        yield from (_picture(frame, pixel_shape) for frame in container.decode(stream))
        return
    if (wanted := next(times, None)) is None:
        return
    shown, picture, end = None, None, 0.0
    for time, frame in _timed(container, stream, wanted):
        while shown is not None and wanted < time:
            picture = _picture(shown, pixel_shape) if picture is None else picture
            yield picture
            if (wanted := next(times, None)) is None:
                return
        shown, picture, end = frame, None, time + _period(stream)
    while shown is not None and wanted is not None and wanted < end:
        yield _picture(shown, pixel_shape)
        wanted = next(times, None)


SEEK_S = 1.0  # below, decoding what lies before is as fast as looking for a key frame


def _timed(
    container: av.container.InputContainer, stream: Any, first_s: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds after the video's first frame, frame), from one at or before `first_s` on."""
    frames = container.decode(stream)
    start = next(frames, None)
    if start is None:
        return
    if start.time is None:  # a container without times
        for i, frame in enumerate(itertools.chain([start], frames)):
            yield i * _period(stream), frame
        return
    origin = start.time
    if first_s > SEEK_S:
        container.seek(int((origin + first_s) / stream.time_base), stream=stream)
        frames = container.decode(stream)
        found = next(frames, None)
        if found is None or found.time is None or found.time - origin > first_s:  # no index, or a wrong one
            container.seek(int(origin / stream.time_base), stream=stream)
            frames = container.decode(stream)
        else:
            start = found
            frames = itertools.chain([found], frames)
    else:
        frames = itertools.chain([start], frames)
    time = 0.0
    for frame in frames:
        time = time + _period(stream) if frame.time is None else frame.time - origin
        yield time, frame


def _period(stream: Any) -> float:
    """Seconds from one frame to the next, on average; 25 frames a second where the file does not say."""
    return float(1 / (stream.average_rate or 25))


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
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float = CONTROL_HZ,
    scale: int = 1,
    key_frames: int = 250,
) -> None:
    """Write uint8 [H, W, 3] RGB frames as H.264 that browsers play; whole or not at all.

    scale: each pixel becomes a square of so many; scale * H and scale * W must be even. key_frames: frames
    from one that can be jumped to, to the next.

    Raises:
        DataError: there are no frames, or their sides are odd.
        FileError: the file cannot be written.
    """
    with replacing(path) as draft:
        try:
            with av.open(str(draft), "w", format="mp4") as container:
                _encode(container, frames, fps, scale, key_frames)
        except (av.FFmpegError, OSError) as error:
            raise FileError(f"cannot write '{path}': {error}") from None


def _encode(
    container: av.container.OutputContainer,
    frames: Iterable[np.ndarray],
    fps: float,
    scale: int,
    key_frames: int,
) -> None:
    stream = None
    for image in frames:
        image = np.ascontiguousarray(image.repeat(scale, axis=0).repeat(scale, axis=1))
        if stream is None:
            if image.shape[0] % 2 or image.shape[1] % 2:
                raise DataError(f"H.264 needs even sides, the frames are {image.shape[1]}x{image.shape[0]}")
            # crf 20 shows no artefacts at 128 px; one thread leaves the other cores to the simulation.
            options = {"crf": "20", "g": str(key_frames)}
            stream = container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(1001), options=options
            )
            stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            stream.thread_count = 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    if stream is None:
        raise DataError("no frames to write")
    container.mux(stream.encode())
