"""Random crop, flip and Cutout: what they may and may not do to a batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.data.augment import crop, crop_padding, cutout, cutout_size, flip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("side", "padding"), [(32, 4), (28, 4), (64, 8), (8, 1), (2, 1)])
def test_padding_is_four_of_thirty_two_pixels(side, padding):
    assert crop_padding(side) == padding


@pytest.mark.parametrize(("side", "square"), [(32, 16), (64, 16), (28, 14), (8, 4), (1, 1)])
def test_cutout_never_covers_more_than_half_a_side(side, square):
    assert cutout_size(side) == square


@given(seed=st.integers(0, 10_000), padding=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_crop_is_one_of_the_windows_of_the_padded_image(seed, padding):
    x = torch.randint(1, 255, (3, 2, 6, 7), dtype=torch.uint8, generator=generator(seed))
    out = crop(x, padding, generator(seed))
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    for sample in range(3):
        windows = [
            padded[sample, :, top : top + 6, left : left + 7]
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
        ]
        assert any(torch.equal(out[sample], window) for window in windows)


def test_crop_reaches_every_window():
    x = torch.zeros(4000, 1, 5, 5)
    x[:, 0, 2, 2] = 1
    out = crop(x, 2, generator())
    hit = out.sum(0)[0]
    assert (hit > 0).all()
    assert hit.sum() == 4000


def test_frames_of_one_recording_move_together():
    frame = torch.randint(0, 255, (8, 1, 2, 9, 9), dtype=torch.uint8, generator=generator())
    x = frame.expand(8, 4, 2, 9, 9)
    for out in (crop(x, 2, generator(1)), flip(x, generator(1)), cutout(x, 4, generator(1))):
        assert torch.equal(out, out[:, :1].expand_as(out))


def test_flip_mirrors_about_half_of_the_samples():
    x = torch.arange(6.0).expand(2000, 1, 3, 6)
    out = flip(x, generator())
    mirrored = (out == x.flip(-1)).flatten(1).all(1)
    untouched = (out == x).flatten(1).all(1)
    assert torch.equal(mirrored, ~untouched)
    assert 900 < int(mirrored.sum()) < 1100


@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_cutout_clears_one_rectangle_no_larger_than_its_size(seed, size):
    x = torch.ones(5, 2, 8, 9)
    out = cutout(x, size, generator(seed))
    for sample in out:
        assert torch.equal(sample[0], sample[1])
        rows, columns = (sample[0] == 0).nonzero(as_tuple=True)
        height, width = len(rows.unique()), len(columns.unique())
        assert 1 <= height <= size
        assert 1 <= width <= size
        assert len(rows) == height * width
        assert int(rows.max() - rows.min()) + 1 == height
        assert int(columns.max() - columns.min()) + 1 == width


@pytest.mark.parametrize(
    "function", [lambda x, g: crop(x, 1, g), flip, lambda x, g: cutout(x, 2, g)]
)
def test_the_input_is_left_alone_and_the_generator_decides(function):
    x = torch.rand(16, 1, 8, 8, generator=generator(5))
    before = x.clone()
    first, second = function(x, generator(1)), function(x, generator(1))
    assert torch.equal(x, before)
    assert torch.equal(first, second)
    assert not torch.equal(first, function(x, generator(2)))
    assert first.dtype == x.dtype
    assert first.shape == x.shape
