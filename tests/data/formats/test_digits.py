"""The digits of scikit-learn."""

import torch
from sklearn.datasets import load_digits

from spikeprune.data.formats import digits


def test_both_parts_together_are_the_whole_set():
    train, test = digits.read()
    assert (train.images.shape, test.images.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    bunch = load_digits()
    pixels = (bunch.images * (255 / 16)).round().reshape(-1, 64).astype(int)
    expected = [(*image, label) for image, label in zip(pixels.tolist(), bunch.target, strict=True)]
    found = [
        (*image, label)
        for part in (train, test)
        for image, label in zip(part.images.flatten(1).tolist(), part.labels.tolist(), strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert train.encoding == test.encoding == ""


def test_values_fill_a_byte():
    train, _ = digits.read()
    assert train.images.dtype == torch.uint8
    levels = train.images.unique().tolist()
    assert (levels[0], levels[1], levels[-1], len(levels)) == (0, 16, 255, 17)


def test_the_split_is_fixed_and_stratified():
    (train, test), (again, _) = digits.read(), digits.read()
    assert torch.equal(train.images, again.images)
    counts = torch.bincount(test.labels, minlength=10)
    assert int(counts.max() - counts.min()) <= 2
