"""The zoo: shapes, time, weight counts of the papers, errors that say what to do."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import ConfigError, DataError

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}


def tiny(name, **changes):
    torch.manual_seed(0)
    shapes = {"classes": 5, "in_channels": 2, "image_size": 32, "time_steps": 3}
    return zoo.build(name, **{**shapes, **TINY[name], **changes})


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value


def reset(model):
    from spikingjelly.activation_based import functional

    functional.reset_net(model)


def step_mode(model, mode):
    from spikingjelly.activation_based import functional

    functional.set_step_mode(model, mode)


def prunable(model):
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_model_takes_images_events_and_slices(name):
    model = tiny(name).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 2, 32, 32)).shape == (3, 2, 5)
        reset(model)
        assert model(torch.randn(3, 2, 2, 32, 32)).shape == (3, 2, 5)
        reset(model)
        step_mode(model, "s")
        assert model(torch.randn(2, 2, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", zoo.NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_layers_ahead_of_the_neurons_can_run_once(name, training):
    every, once = tiny(name).train(training), tiny(name).train(training)
    assert "stem.conv" in hoist(once)
    assert str(once) == str(every)
    x = torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(once(x), every(x), rtol=0, atol=1e-5)
    for (key, a), b in zip(every.named_buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_arguments_rebuild_the_model(name):
    model = tiny(name, neuron="plif", reset="soft", image_size=(32, 40))
    again = zoo.build(**json.loads(json.dumps(model.arguments)))
    again.load_state_dict(model.state_dict())
    assert again.arguments == model.arguments
    assert str(again) == str(model)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_all_weights_get_gradients(name):
    model = tiny(name)
    model(torch.randn(4, 2, 32, 32)).mean(0).logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert sum(float(p.grad.abs().sum()) for p in model.stem.parameters()) > 0


@pytest.mark.parametrize(("name", "count"), [("vgg16", 14_715_584), ("resnet19-pre", 12_491_456)])
def test_weight_counts_of_the_paper(name, count):
    with torch.device("meta"):
        model = zoo.build(name, classes=10, in_channels=3, image_size=32, time_steps=5)
    assert prunable(model) == count


def test_resnet19_forms_differ_by_the_hidden_layer():
    pre, post = tiny("resnet19-pre"), tiny("resnet19-post")
    assert [n for n, _ in pre.head.named_children()] == ["pool", "flatten", "classifier"]
    assert post.head.hidden1.out_features == 16
    assert pre.stem.conv.out_channels == 4
    assert post.stem.conv.out_channels == 8


def test_sew_connections_and_stems():
    spikes = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    expected = {"ADD": [0, 1, 1, 2], "AND": [0, 0, 0, 1], "IAND": [0, 1, 0, 0]}
    for connect, values in expected.items():
        model = tiny("sew-resnet18", connect=connect).eval()
        assert model(torch.randn(1, 2, 32, 32)).shape == (3, 1, 5)
        block = model.body.stage1[0]
        block.conv1, block.conv2 = nn.Identity(), nn.Identity()
        block.norm1 = block.norm2 = block.spike1 = nn.Identity()
        block.spike2 = Constant(spikes[0])
        assert block(spikes[1]).tolist() == values
    assert tiny("sew-resnet18").stem.conv.kernel_size == (3, 3)
    assert tiny("sew-resnet18", image_size=128).stem.conv.kernel_size == (7, 7)
    flat = tiny("sew-resnet18", stem="imagenet", image_size=33, head="flatten")
    assert flat(torch.randn(1, 2, 33, 33)).shape == (3, 1, 5)


@pytest.mark.parametrize("name", ["vgg9", "resnet19-pre", "resnet19-post", "vgg-small"])
@pytest.mark.parametrize("head", ["average", "flatten"])
def test_heads_fit_odd_images(name, head):
    model = tiny(name, head=head, image_size=(19, 26))
    assert model(torch.randn(1, 2, 19, 26)).shape == (3, 1, 5)


def test_errors_say_what_to_do():
    with pytest.raises(ConfigError, match=r"expected one of: .*vgg16"):
        zoo.build("vgg15", classes=2, in_channels=1, image_size=8, time_steps=1)
    with pytest.raises(ConfigError, match="at least 32, got 16x16"):
        tiny("vgg16", image_size=16)
    with pytest.raises(ConfigError, match=r"argument of model 'vgg16' 'depth'; .*width"):
        tiny("vgg16", depth=3)
    with pytest.raises(ConfigError, match="classes of at least 1"):
        tiny("vgg16", classes=0)
    with pytest.raises(ConfigError, match="height, width"):
        tiny("vgg16", image_size=(32, 32, 3))
    with pytest.raises(ConfigError, match="positive width"):
        tiny("vgg16", width=0)
    with pytest.raises(ConfigError, match="as many strides"):
        tiny("vgg-small", strides=(2,))
    for name, wrong in [("vgg9", "pool"), ("vgg9", "head"), ("sew-resnet18", "connect"),
                        ("sew-resnet18", "stem"), ("vgg9", "neuron"), ("vgg9", "reset"),
                        ("vgg9", "preset")]:  # fmt: skip
        with pytest.raises(ConfigError, match=r"unknown .*'nonsense'; expected one of"):
            tiny(name, **{wrong: "nonsense"})


def test_inputs_that_do_not_fit_are_refused():
    model = tiny("vgg-small")
    with pytest.raises(DataError, match="expected 3 time steps, got an input with 4"):
        model(torch.randn(4, 1, 2, 32, 32))
    with pytest.raises(DataError, match=r"\(C, H, W\) = \(2, 32, 32\)"):
        model(torch.randn(1, 3, 32, 32))
    step_mode(model, "s")
    with pytest.raises(DataError, match=r"an input \[B, C, H, W\]"):
        model(torch.randn(3, 1, 2, 32, 32))


def test_the_package_does_not_import_spikingjelly():
    code = "import sys, spikeprune.zoo; sys.exit('spikingjelly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
