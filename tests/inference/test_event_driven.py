import copy

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.registry import spiking_neurons
from spikeprune.errors import ConfigError, ModelError, SpikePruneError
from spikeprune.execution.forward import forward
from spikeprune.inference import event_driven as runtime
from spikeprune.inference.event_driven import CHOICES, event_driven, event_report

T = 3
TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}
needs_numba = pytest.mark.skipif(not runtime.numba_installed(), reason="numba is not installed")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def zoo_net(name, sparsity, **options):
    """A net whose neurons fire, with zeros among its weights."""
    arguments = TINY[name] | options
    model = zoo.build(name, classes=5, in_channels=2, image_size=32, time_steps=T, **arguments)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.2, 1, generator=generator)
                module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.mul_(1 / (1 - sparsity) ** 0.5)
                module.weight.mul_(torch.rand(module.weight.shape, generator=generator) >= sparsity)
    return model.eval()


@torch.no_grad()
def run(model, x, layout="sequence"):
    return forward(model, x, time_steps=T, layout=layout)


@needs_numba
@pytest.mark.parametrize("choice", [None, "events", "lanes"])
@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_zoo_net_gives_the_outputs_of_pytorch(name, choice):
    for sparsity in (0.5, 0.9):
        model = zoo_net(name, sparsity)
        ours = event_driven(model, torch.randn(1, 2, 32, 32), time_steps=T, choice=choice)
        for batch in (1, 3):
            x = torch.randn(batch, 2, 32, 32)
            expected = run(model, x)
            assert expected.abs().max() > 0
            torch.testing.assert_close(run(ours, x), expected, rtol=0, atol=1e-5)
        events = torch.randn(T, 2, 2, 32, 32)
        torch.testing.assert_close(run(ours, events), run(model, events), rtol=0, atol=1e-5)


@needs_numba
def test_average_pools_sums_of_spikes_and_flat_heads():
    for name, options in [
        ("vgg9", {"pool": "average"}),
        ("vgg9", {"head": "average"}),
        ("sew-resnet18", {"connect": "IAND"}),
        ("sew-resnet18", {"stem": "imagenet"}),
    ]:
        model, x = zoo_net(name, 0.7, **options), torch.randn(1, 2, 32, 32)
        ours = event_driven(model, x, time_steps=T, choice="events")
        torch.testing.assert_close(run(ours, x), run(model, x), rtol=0, atol=1e-5)


def lif(**options):
    return neuron.LIFNode(surrogate_function=surrogate.ATan(), step_mode="m", **options)


@needs_numba
@pytest.mark.parametrize("choice", ["events", "lanes"])
def test_equal_bit_for_bit_where_no_sum_is_rounded(choice):
    """Weights and biases are multiples of 1/16, so that no order of adding up matters."""
    net = nn.Sequential(
        layer.Conv2d(2, 8, 3, padding=1),
        lif(),
        layer.MaxPool2d(2),
        layer.Conv2d(8, 8, 3, padding=1),
        lif(v_reset=None),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(32, 6),
        lif(decay_input=False),
        layer.Linear(6, 3),
    )
    for module in net.modules():
        if hasattr(module, "step_mode"):
            module.step_mode = "m"
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randint(-8, 12, parameter.shape) / 16)
            parameter.mul_(torch.rand(parameter.shape) < 0.7)
    x = (torch.rand(T, 2, 2, 8, 8) < 0.5).float()
    ours = event_driven(net, x, time_steps=T, choice=choice)
    expected = run(net, x)
    assert torch.equal(run(ours, x), expected)
    assert expected.unique().numel() > 3


@needs_numba
def test_linear_nets_on_events_and_nets_that_take_one_step():
    whole = nn.Sequential(layer.Linear(30, 20), lif(), layer.Linear(20, 4))
    for module in whole:
        module.step_mode = "m"
    single = copy.deepcopy(whole)
    for module in single:
        module.step_mode = "s"
    events = (torch.rand(T, 2, 30) < 0.4).float()
    expected = run(whole, events)
    for model, layout in ((whole, "sequence"), (single, "step")):
        ours = event_driven(model, events, time_steps=T, layout=layout, choice="lanes")
        torch.testing.assert_close(run(ours, events, layout), expected, rtol=0, atol=1e-5)
        assert [row.choice for row in event_report(ours).values()] == ["lanes", "lanes"]


@needs_numba
def test_the_net_is_left_as_it_was_and_the_copy_is_a_net():
    model, x = zoo_net("vgg-small", 0.9), torch.randn(1, 2, 32, 32)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = list(spiking_neurons(model))
    ours = event_driven(model, x, time_steps=T)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(m._forward_pre_hooks for m in ours.modules())
    assert not any(p.requires_grad for p in ours.parameters())
    assert list(spiking_neurons(ours)) == names
    assert torch.equal(run(copy.deepcopy(ours), x), run(ours, x))


@needs_numba
def test_the_report_says_how_each_layer_is_computed():
    model, x = zoo_net("vgg-small", 0.75), torch.randn(1, 2, 32, 32)
    asked = {"stem.conv": "dense", "body.conv2": "events", "body.conv3": "lanes"}
    rows = event_report(event_driven(model, x, time_steps=T, choice=asked))
    assert list(rows) == [
        "stem.conv",
        "body.conv2",
        "body.conv3",
        "body.conv4",
        "head.classifier",
    ]
    for name, choice in asked.items():
        assert (rows[name].choice, rows[name].reason) == (choice, "asked for")
        assert list(rows[name].milliseconds) == [choice]
    free = rows["body.conv4"]
    assert set(free.milliseconds) == set(CHOICES)
    assert free.milliseconds[free.choice] == min(free.milliseconds.values())
    assert free.density == pytest.approx(0.25, abs=0.06)
    assert 0 < free.input_rate < 1
    assert rows["stem.conv"].input_rate == 1
    assert all(row.threads == torch.get_num_threads() == 1 for row in rows.values())


class Scaled(layer.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


@needs_numba
def test_only_the_nets_that_were_made_event_driven_have_a_report():
    model, x = zoo_net("vgg-small", 0.5), torch.rand(1, 2, 32, 32)
    one = event_driven(model, x, time_steps=T, choice="lanes")
    other = event_driven(model, x, time_steps=T, choice="events")
    assert event_report(model) == {}
    assert {row.choice for row in event_report(one).values()} == {"lanes"}
    assert {row.choice for row in event_report(other).values()} == {"events"}
    assert "net.stem.conv" in event_report(nn.ModuleDict({"net": one}))


@needs_numba
def test_layers_that_cannot_be_replaced_stay_and_say_why():
    net = nn.Sequential(
        Scaled(1, 4, 3), neuron.IFNode(), layer.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
    )
    net.append(nn.Flatten())
    net.append(nn.Linear(144, 2))
    x = torch.rand(1, 1, 8, 8)
    ours = event_driven(net, x, time_steps=T, layout="step", choice="lanes")
    rows = event_report(ours)
    assert [rows[n].choice for n in ("0", "2", "4")] == ["dense", "dense", "lanes"]
    assert "something else" in rows["0"].reason
    assert "circular" in rows["2"].reason
    torch.testing.assert_close(run(ours, x, "step"), run(net, x, "step"))
    with pytest.raises(ModelError, match=r"'2'.*circular"):
        event_driven(net, x, time_steps=T, layout="step", choice={"2": "events"})


def test_without_numba_it_names_the_extra(monkeypatch):
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    with pytest.raises(SpikePruneError, match=r"spikeprune\[eventdriven\]"):
        event_driven(zoo_net("vgg-small", 0.5), torch.rand(1, 2, 32, 32), time_steps=T)


@needs_numba
def test_what_cannot_be_asked_for():
    model, x = zoo_net("vgg-small", 0.5), torch.rand(1, 2, 32, 32)
    with pytest.raises(ConfigError, match="dense, events, lanes"):
        event_driven(model, x, time_steps=T, choice="fast")
    with pytest.raises(ModelError, match="no such layer"):
        event_driven(model, x, time_steps=T, choice={"stem": "events"})
    with pytest.raises(ModelError, match="float64"):
        event_driven(model.double(), x.double(), time_steps=T)
