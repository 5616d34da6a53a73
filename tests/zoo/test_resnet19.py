"""ResNet19 in its two forms."""

import pytest
import torch
from torch import nn

from spikeprune import zoo


def test_the_pre_activation_form_has_the_weights_of_the_paper():
    with torch.device("meta"):
        model = zoo.build("resnet19-pre", classes=10, in_channels=3, image_size=32, time_steps=5)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(layer.weight.numel() for layer in layers) == 12_491_456


def test_resnet19_forms_differ_by_the_hidden_layer(tiny):
    pre, post = tiny("resnet19-pre"), tiny("resnet19-post")
    assert [n for n, _ in pre.head.named_children()] == ["pool", "flatten", "classifier"]
    assert post.head.hidden1.out_features == 16
    assert pre.stem.conv.out_channels == 4
    assert post.stem.conv.out_channels == 8


@pytest.mark.parametrize("name", ["resnet19-pre", "resnet19-post"])
def test_stages_double_the_channels_and_halve_the_image(tiny, name):
    body = tiny(name).body
    assert [len(stage) for stage in (body.stage1, body.stage2, body.stage3)] == [3, 3, 2]
    for number, channels in enumerate((8, 16, 32), start=1):
        first, *others = getattr(body, f"stage{number}")
        assert first.conv1.stride == ((2, 2) if number > 1 else (1, 1))
        assert all(block.conv1.stride == (1, 1) for block in others)
        assert {block.conv2.out_channels for block in (first, *others)} == {channels}
        assert all(block.shortcut is None for block in others)
        # The stem of the post-activation form already has the channels of the first stage.
        assert (first.shortcut is None) == (name == "resnet19-post" and number == 1)


class Times(nn.Module):
    """A stand-in for a layer: multiplies."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def replace(block, **factors):
    for name in ("norm1", "spike1", "conv1", "norm2", "spike2", "conv2"):
        setattr(block, name, Times(factors.get(name, 1)))
    return block


def test_the_pre_activation_block_adds_the_analog_input(tiny):
    first, second = tiny("resnet19-pre").body.stage1[:2]
    x = torch.tensor([1.0, 2.0])
    replace(second, norm1=2, spike1=3, conv1=5, norm2=7, spike2=11, conv2=13)
    assert second(x).tolist() == (x * (1 + 2 * 3 * 5 * 7 * 11 * 13)).tolist()
    first.shortcut = Times(100)
    replace(first, norm1=2, spike1=3)
    assert first(x).tolist() == (x * (2 * 3 + 100 * 2 * 3)).tolist()  # reads the spikes


def test_the_post_activation_block_fires_after_the_sum(tiny):
    block = replace(
        tiny("resnet19-post").body.stage1[0],
        conv1=2,
        norm1=3,
        spike1=5,
        conv2=7,
        norm2=11,
        spike2=13,
    )
    x = torch.tensor([1.0, 2.0])
    assert block(x).tolist() == (13 * x * (1 + 2 * 3 * 5 * 7 * 11)).tolist()
    block.shortcut = Times(100)
    assert block(x).tolist() == (13 * x * (100 + 2 * 3 * 5 * 7 * 11)).tolist()
