"""Decoding and resizing."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from spikeprune import limits
from spikeprune.data.formats.images import Encoded, channel_statistics, decode, resize
from spikeprune.errors import ConfigError, DataError


def rows(contents, labels=None):
    labels = labels or [0] * len(contents)
    return [
        Encoded(content, label, f"image {number}")
        for number, (content, label) in enumerate(zip(contents, labels, strict=True))
    ]


def picture(height=6, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_png_pixels_survive_exactly(encoded):
    pictures = [picture(seed=seed) for seed in range(3)]
    part = decode(rows([encoded(p) for p in pictures], [0, 1, 2]), (3, 6, 5), 3)
    assert part.encoding == "PNG"
    assert part.labels.tolist() == [0, 1, 2]
    assert torch.equal(part.images, torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))


def test_one_jpeg_among_png_marks_the_whole(encoded):
    part = decode(rows([encoded(picture()), encoded(picture(), "JPEG")]), (3, 6, 5), 1)
    assert part.encoding == "JPEG"


def test_grey_images_become_rgb_where_three_channels_are_wanted(encoded):
    part = decode(rows([encoded(picture()[..., 0])]), (3, 6, 5), 1)
    assert torch.equal(part.images[0, 0], part.images[0, 2])
    assert decode(rows([encoded(picture())]), (1, 6, 5), 1).images.shape == (1, 1, 6, 5)


def test_no_rows_give_an_empty_part():
    part = decode([], (3, 6, 5), 1)
    assert part.images.shape == (0, 3, 6, 5)
    assert part.labels.shape == (0,)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_damaged_images_are_named(encoded, content):
    content = encoded(picture(40, 40))[:-500] if content is None else content
    with pytest.raises(DataError, match="image 0: not a whole image"):
        decode(rows([content]), (3, 40, 40), 1)


def test_sizes_and_labels_are_checked(encoded):
    with pytest.raises(DataError, match=r"image 1: expected an image of 5x6 .* got 6x5"):
        decode(rows([encoded(picture()), encoded(picture(5, 6))]), (3, 6, 5), 1)
    for label in (-1, 2):
        with pytest.raises(DataError, match=f"label {label}, expected 0 to 1"):
            decode(rows([encoded(picture())], [label]), (3, 6, 5), 2)


def test_fit_squeezes_other_sizes(encoded):
    part = decode(rows([encoded(picture(9, 4))]), (3, 6, 5), 1, fit=True)
    assert part.images.shape == (1, 3, 6, 5)


def test_resize_keeps_constants_and_ranges():
    images = torch.tensor([0, 7, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    for size in (4, 16, 13):
        out = resize(images, size)
        assert out.shape == (3, 1, size, size)
        assert out.dtype == torch.uint8
        assert torch.equal(out, images[:, :, :1, :1].expand(3, 1, size, size))
    assert resize(images, 8) is images


def test_resize_doubles_by_linear_interpolation():
    images = torch.tensor([[[[0, 100]]]], dtype=torch.uint8).expand(1, 1, 2, 2)
    assert resize(images, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]


def test_statistics_equal_those_of_numpy():
    images = torch.randint(0, 256, (9000, 2, 3, 3), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    reference = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, reference.mean((0, 2, 3)), rtol=1e-10)
    np.testing.assert_allclose(std, reference.std((0, 2, 3)), rtol=1e-8)


def test_a_constant_channel_can_still_be_divided_by():
    _, std = channel_statistics(torch.full((4, 1, 2, 2), 9, dtype=torch.uint8))
    assert std == (1.0,)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, channels):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    part = decode([Encoded(tmp_path / "ramp.png", 0, "ramp")], (channels, 8, 8), 1)
    wanted = torch.from_numpy((ramp / 257).round().astype(np.int64))
    assert (part.images[0].long() - wanted).abs().max() <= 1


def png_header(width, height):
    """Return the first bytes of a PNG, which claim this size."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + fields + struct.pack(">I", zlib.crc32(fields))
    data = zlib.compress(bytes(100))
    end = struct.pack(">I", len(data)) + b"IDAT" + data
    return b"\x89PNG\r\n\x1a\n" + chunk + end + struct.pack(">I", zlib.crc32(b"IDAT" + data))


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (10_000, 10_000), (50_000, 50_000)])
def test_an_image_that_claims_too_many_pixels_is_refused_undecoded(width, height):
    tracemalloc.start()
    with pytest.raises(DataError, match=r"image 0.*(at most 67,108,864, got|exceeds limit)"):
        decode(rows([png_header(width, height)]), (3, 6, 5), 1, fit=True)
    assert tracemalloc.get_traced_memory()[1] < limits.MIB
    tracemalloc.stop()


def test_programs_and_files_of_silly_size_are_no_images(tmp_path):
    with pytest.raises(DataError, match="image 0: not a whole image"):
        decode(rows([b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n"]), (3, 6, 5), 1)
    with (tmp_path / "1.png").open("wb") as file:
        file.truncate(limits.IMAGE_BYTES + 1)
    with pytest.raises(DataError, match=r"expected at most 67,108,864 bytes, got 67,108,865"):
        decode(rows([tmp_path / "1.png"]), (3, 6, 5), 1)


def test_a_size_that_no_memory_holds_is_refused():
    with pytest.raises(ConfigError, match=r"10 images of 10000000x10000000 pixels \(image_size\)"):
        resize(torch.zeros(10, 1, 2, 2, dtype=torch.uint8), 10_000_000)
