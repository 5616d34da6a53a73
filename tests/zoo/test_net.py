"""The parts that zoo models share: layers, head, and how time enters."""

import math

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn

from spikeprune.errors import ConfigError, DataError
from spikeprune.zoo.net import Task, classifier_head, conv, norm, scaled, sequence


@pytest.fixture
def task():
    return Task(
        classes=5,
        in_channels=2,
        image_size=(8, 8),
        time_steps=3,
        neuron=nn.ReLU,
    )


def test_a_convolution_keeps_the_size_and_has_no_bias():
    module = conv(2, 6, kernel=5)
    assert module.bias is None
    assert module(torch.zeros(1, 2, 9, 7)).shape == (1, 6, 9, 7)
    assert conv(2, 6, stride=2)(torch.zeros(1, 2, 9, 7)).shape == (1, 6, 5, 4)


def test_convolutions_start_with_the_deviation_of_kaiming_by_outputs():
    torch.manual_seed(0)
    weight = conv(64, 128).weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)
    assert abs(float(weight.mean())) < 1e-3


def test_the_norm_takes_its_statistics_over_time_batch_and_space():
    module = norm(2)
    module.step_mode = "m"
    x = 3 + 2 * torch.randn(3, 4, 2, 5, 5)
    out = module(x)
    assert out.mean((0, 1, 3, 4)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert out.std((0, 1, 3, 4), correction=0).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_a_sequence_names_its_parts_in_order():
    parts = sequence([("one", nn.Identity()), ("two", nn.Flatten())])
    assert [name for name, _ in parts.named_children()] == ["one", "two"]


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 1.0, 64), (64, 1 / 16, 4), (6, 0.25, 2), (8, 0.01, 1)]
)
def test_scaled_rounds_and_leaves_one(channels, width, expected):
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("width", [0, -1.0])
def test_a_width_must_be_positive(width):
    with pytest.raises(ConfigError, match="positive width multiplier"):
        scaled(8, width)


def test_an_average_head_is_a_linear_map_of_the_mean(task):
    head = classifier_head(task, (4, 2, 3))
    assert [name for name, _ in head.named_children()] == ["pool", "flatten", "classifier"]
    x = torch.randn(2, 4, 2, 3)
    expected = x.mean((2, 3)) @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(x), expected)


def test_a_flat_head_reads_every_pixel_through_its_hidden_layers(task):
    head = classifier_head(task, (4, 2, 3), kind="flatten", hidden=(7, 6))
    shapes = {name: tuple(m.weight.shape) for name, m in head.named_children() if "hid" in name}
    assert shapes == {"hidden1": (7, 24), "hidden2": (6, 7)}
    assert head.hidden1.bias is None
    assert head.classifier.in_features == 6
    assert head(torch.randn(2, 4, 2, 3)).shape == (2, 5)


def test_unknown_heads_are_refused(task):
    with pytest.raises(ConfigError, match="unknown head 'last'; expected one of: average, flatten"):
        classifier_head(task, (4, 2, 3), kind="last")


def test_a_static_image_is_shown_at_every_time_step(tiny):
    model = tiny("vgg-small").eval()
    x = torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        static = model(x)
        functional.reset_net(model)
        assert torch.equal(static, model(x.expand(3, *x.shape)))
    assert static.shape == (3, 2, 5)


def test_inputs_that_do_not_fit_are_refused(tiny):
    model = tiny("vgg-small")
    with pytest.raises(DataError, match="expected 3 time steps, got an input with 4"):
        model(torch.randn(4, 1, 2, 32, 32))
    with pytest.raises(DataError, match=r"\(C, H, W\) = \(2, 32, 32\)"):
        model(torch.randn(1, 3, 32, 32))
    functional.set_step_mode(model, "s")
    with pytest.raises(DataError, match=r"an input \[B, C, H, W\]"):
        model(torch.randn(3, 1, 2, 32, 32))
