"""Every encoding that drivers send becomes the same RGB; what contradicts itself is refused in one line."""

import zlib

import cv2
import numpy as np
import pytest

from hilam_core.observation import ObservationError
from hilam_core.runtime.images import FrozenCamera, decode_compressed, decode_raw

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.full((5, 7, 1), 9, np.uint8)
BGR = RGB[..., ::-1]
RAW = {
    "rgb8": RGB,
    "bgr8": BGR,
    "8UC3": BGR,
    "rgba8": np.concatenate([RGB, ALPHA], axis=2),
    "bgra8": np.concatenate([BGR, ALPHA], axis=2),
    "8UC4": np.concatenate([BGR, ALPHA], axis=2),
}


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", RAW)
def test_colour_encodings_with_and_without_padded_rows(encoding, padding):
    rows = RAW[encoding].reshape(5, -1)
    padded = np.pad(rows, ((0, 0), (0, padding)))
    image = decode_raw(encoding, 5, 7, padded.shape[1], padded.tobytes())
    np.testing.assert_array_equal(image, RGB)


def test_grey_becomes_equal_red_green_and_blue():
    grey = RGB[..., 0]
    np.testing.assert_array_equal(
        decode_raw("mono8", 5, 7, 7, grey.tobytes()), np.repeat(grey[..., None], 3, axis=2)
    )


def test_compressed_images_are_read():
    png = cv2.imencode(".png", BGR)[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(png), RGB)
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (1, 64, 3)) // [1, 2, 4]
    jpeg = cv2.imencode(".jpg", smooth.astype(np.uint8)[..., ::-1])[1].tobytes()
    assert np.abs(decode_compressed(jpeg).astype(int) - smooth).mean() < 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("16UC1", 2, 2, 4, bytes(8)), "encoding '16UC1' is not one of rgb8, bgr8"),
        (("rgb8", 2, 2, 6, bytes(11)), "2x2 rgb8 in rows of 6 bytes cannot have 11 bytes"),
        (("rgba8", 2, 2, 6, bytes(12)), "cannot have 12 bytes"),
        (("rgb8", 0, 0, 0, b""), "cannot have 0 bytes"),
    ],
)
def test_images_that_contradict_themselves_are_refused(arguments, message):
    with pytest.raises(ObservationError, match=message):
        decode_raw(*arguments)


# A PNG that says it is 200000 pixels wide and high.
HUGE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00\x03\x0d\x40" * 2 + b"\x08\x02\x00\x00\x00"
HUGE += zlib.crc32(HUGE[12:]).to_bytes(4, "big")


@pytest.mark.parametrize("data", [b"", b"no picture", HUGE])
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(ObservationError, match="neither JPEG nor PNG"):
        decode_compressed(data)


def test_a_camera_that_sends_one_picture_again_and_again_is_noticed():
    camera, second = FrozenCamera(0.5), 10**9
    pictures = [bytes([number] * 100) for number in range(3)]
    assert not any(camera.problem(pictures[n % 3], n * second) for n in range(1, 6))
    assert not camera.problem(pictures[1], 10 * second)
    assert not camera.problem(bytes(pictures[1]), 10 * second + second // 2)
    assert camera.problem(pictures[1], 11 * second) == "has sent one picture for 1.0 s"
    assert not camera.problem(pictures[2], 12 * second)
    assert not FrozenCamera(0.0).problem(pictures[0], 99 * second)
