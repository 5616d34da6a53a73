import pytest
import torch

from spikeprune import zoo

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}


@pytest.fixture
def tiny():
    """Build a narrow model for 5 classes, 2 channels, 32x32 pixels and T = 3."""

    def build(name, **changes):
        torch.manual_seed(0)
        shapes = {"classes": 5, "in_channels": 2, "image_size": 32, "time_steps": 3}
        return zoo.build(name, **{**shapes, **TINY[name], **changes})

    return build
