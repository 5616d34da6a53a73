"""Spiking VGG nets: layers by name, sizes, and what they refuse."""

import pytest
import torch
from torch import nn

from spikeprune import zoo
from spikeprune.errors import ConfigError


def channels(model):
    """Return the output channels of the convolutions by name."""
    convs = ((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    return {name.split(".")[-1]: module.out_channels for name, module in convs}


def test_vgg16_has_the_weights_of_the_paper():
    with torch.device("meta"):
        model = zoo.build("vgg16", classes=10, in_channels=3, image_size=32, time_steps=5)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 14
    assert sum(layer.weight.numel() for layer in layers) == 14_715_584


@pytest.mark.parametrize(("name", "convolutions", "pools"), [("vgg9", 7, 3), ("vgg11", 8, 5)])
def test_convolutions_and_pools(tiny, name, convolutions, pools):
    model = tiny(name)
    assert len(channels(model)) == convolutions
    assert sum(isinstance(m, nn.MaxPool2d) for m in model.modules()) == pools


def test_layers_are_numbered_by_convolution_and_pools_follow_them(tiny):
    names = [name for name, _ in tiny("vgg9").body.named_children()]
    assert names[:6] == ["spike1", "conv2", "norm2", "spike2", "pool2", "conv3"]
    assert names[-2:] == ["spike7", "pool7"]


def test_widths_and_strides_of_the_small_net(tiny):
    model = tiny("vgg-small", widths=(4, 6), strides=(2, 3), head="flatten", hidden=(9,))
    assert channels(model) == {"conv": 4, "conv2": 6}
    # 32 pixels: 16 after a stride of 2, 6 after one of 3, rounded up
    assert model.head.hidden1.in_features == 6 * 6 * 6
    assert model.head.classifier.in_features == 9


def test_the_width_scales_channels_and_hidden_units(tiny):
    model = tiny("vgg9", width=1 / 32)
    assert list(channels(model).values()) == [2, 2, 4, 4, 8, 8, 8]
    assert model.head.hidden1.out_features == 32


def test_average_pools_average(tiny):
    model = tiny("vgg9", pool="average")
    assert sum(isinstance(m, nn.AvgPool2d) for m in model.modules()) == 3
    x = torch.arange(4.0).reshape(1, 1, 1, 2, 2)
    assert model.body.pool2(x).item() == 1.5
    assert tiny("vgg9").body.pool2(x).item() == 3


def test_what_cannot_be_built_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"image_size of at least 32, got 16x16.*'vgg-small'"):
        tiny("vgg16", image_size=16)
    for strides in ((2,), (1, 1, 1, 1, 1)):
        with pytest.raises(ConfigError, match="as many strides as widths"):
            tiny("vgg-small", strides=strides)
    with pytest.raises(ConfigError, match="at least one of each"):
        tiny("vgg-small", widths=(), strides=())
    with pytest.raises(ConfigError, match="unknown pool 'min'; expected one of: average, max"):
        tiny("vgg9", pool="min")
    with pytest.raises(ConfigError, match="unknown head 'last'"):
        tiny("vgg9", head="last")
    with pytest.raises(ConfigError, match="positive width"):
        tiny("vgg16", width=0)


def test_strides_wider_than_the_image_are_refused():
    with pytest.raises(ConfigError, match="strides of at most 8 for this image, got"):
        zoo.build(
            "vgg-small",
            classes=2,
            in_channels=1,
            image_size=8,
            time_steps=1,
            widths=[2],
            strides=[10**6],
        )
