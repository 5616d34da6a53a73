"""The zoo: shapes, time, weight counts of the papers, errors that say what to do."""

import json
import subprocess
import sys

import pytest
import torch
from spikingjelly.activation_based import functional

from spikeprune import zoo
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import ConfigError


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_model_takes_images_recordings_and_slices(tiny, name):
    model = tiny(name).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 2, 32, 32)).shape == (3, 2, 5)
        functional.reset_net(model)
        assert model(torch.randn(3, 2, 2, 32, 32)).shape == (3, 2, 5)
        functional.reset_net(model)
        functional.set_step_mode(model, "s")
        assert model(torch.randn(2, 2, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", zoo.NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_layers_ahead_of_the_neurons_can_run_once(tiny, name, training):
    every, once = tiny(name).train(training), tiny(name).train(training)
    assert "stem.conv" in hoist(once)
    assert str(once) == str(every)
    x = torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(once(x), every(x), rtol=0, atol=1e-5)
    for (key, a), b in zip(every.named_buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_arguments_rebuild_the_model(tiny, name):
    model = tiny(name, neuron="plif", reset="soft", image_size=(32, 40))
    again = zoo.build(**json.loads(json.dumps(model.arguments)))
    again.load_state_dict(model.state_dict())
    assert again.arguments == model.arguments
    assert str(again) == str(model)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_all_weights_get_gradients(tiny, name):
    model = tiny(name)
    model(torch.randn(4, 2, 32, 32)).mean(0).logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert sum(float(p.grad.abs().sum()) for p in model.stem.parameters()) > 0


@pytest.mark.parametrize("head", ["average", "flatten"])
@pytest.mark.parametrize("name", ["vgg9", "resnet19-pre", "resnet19-post", "vgg-small"])
def test_heads_fit_odd_images(tiny, name, head):
    model = tiny(name, head=head, image_size=(19, 26))
    assert model(torch.randn(1, 2, 19, 26)).shape == (3, 1, 5)


def test_the_smallest_image_is_the_one_that_a_model_accepts(tiny):
    for name in zoo.NAMES:
        side = zoo.smallest_image(name)
        tiny(name, image_size=side)
        if side > 1:
            with pytest.raises(ConfigError, match=f"at least {side}, got {side - 1}x{side - 1}"):
                tiny(name, image_size=side - 1)


def test_errors_say_what_to_do(tiny):
    with pytest.raises(ConfigError, match=r"expected one of: .*vgg16"):
        zoo.build("vgg15", classes=2, in_channels=1, image_size=8, time_steps=1)
    with pytest.raises(ConfigError, match=r"argument of model 'vgg16' 'depth'; .*width"):
        tiny("vgg16", depth=3)
    with pytest.raises(ConfigError, match="classes of at least 1"):
        tiny("vgg16", classes=0)
    with pytest.raises(ConfigError, match="image_size of at least 1, got 0"):
        tiny("vgg-small", image_size=(8, 0))
    with pytest.raises(ConfigError, match="height, width"):
        tiny("vgg16", image_size=(32, 32, 3))
    for wrong in ("neuron", "reset", "preset"):
        with pytest.raises(ConfigError, match=r"unknown .*'nonsense'; expected one of"):
            tiny("vgg9", **{wrong: "nonsense"})


def test_the_package_does_not_import_spikingjelly():
    code = "import sys, spikeprune.zoo; sys.exit('spikingjelly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
