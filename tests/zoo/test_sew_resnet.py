"""SEW-ResNet18: connections and stems."""

import pytest
import torch
from torch import nn

from spikeprune.errors import ConfigError


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value


@pytest.mark.parametrize(
    ("connect", "values"), [("ADD", [0, 1, 1, 2]), ("AND", [0, 0, 0, 1]), ("IAND", [0, 1, 0, 0])]
)
def test_connections_join_spikes(tiny, connect, values):
    own, identity = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    model = tiny("sew-resnet18", connect=connect).eval()
    assert model(torch.randn(1, 2, 32, 32)).shape == (3, 1, 5)
    block = model.body.stage1[0]
    block.conv1 = block.conv2 = block.norm1 = block.norm2 = block.spike1 = nn.Identity()
    block.spike2 = Constant(own)
    assert block(identity).tolist() == values


def test_the_stem_follows_the_image_size(tiny):
    small, large = tiny("sew-resnet18", image_size=127), tiny("sew-resnet18", image_size=128)
    assert (small.stem.conv.kernel_size, small.stem.conv.stride) == ((3, 3), (1, 1))
    assert (large.stem.conv.kernel_size, large.stem.conv.stride) == ((7, 7), (2, 2))
    assert not hasattr(small.body, "pool")
    assert large.body.pool.kernel_size == 3
    assert tiny("sew-resnet18", image_size=128, stem="small").stem.conv.kernel_size == (3, 3)


def test_a_flat_head_fits_the_large_stem(tiny):
    flat = tiny("sew-resnet18", stem="imagenet", image_size=33, head="flatten")
    assert flat.head.classifier.in_features == 32 * 2 * 2  # 33 pixels, halved five times, up
    assert flat(torch.randn(1, 2, 33, 33)).shape == (3, 1, 5)


def test_projections_fire_too(tiny):
    first, second = tiny("sew-resnet18").body.stage2
    assert [name for name, _ in first.shortcut.named_children()] == ["conv", "norm", "spike"]
    assert second.shortcut is None


@pytest.mark.parametrize("option", ["connect", "stem", "head"])
def test_unknown_options_are_refused(tiny, option):
    with pytest.raises(ConfigError, match=r"unknown .*'nonsense'; expected one of"):
        tiny("sew-resnet18", **{option: "nonsense"})
