"""The 1,797 digits of 8x8 pixels that ship inside scikit-learn."""

import torch

from spikeprune.data.split import SPLIT_SEED, stratified_order
from spikeprune.data.types import Part

_TEST_SAMPLES = 360  # scikit-learn publishes no split; ours is fixed and stratified


def read() -> tuple[Part, Part]:
    """Return the training (1,437) and the test part (360), with values of 0..16 as 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).to(torch.float32) * (255 / 16)
    images = pixels.round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    order = stratified_order(labels, SPLIT_SEED + 1)
    test, train = order[:_TEST_SAMPLES].sort().values, order[_TEST_SAMPLES:].sort().values
    return Part(images[train], labels[train]), Part(images[test], labels[test])
