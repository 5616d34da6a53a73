"""What weights read before an event: the same as an evaluation counts."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import Pruner, zoo
from spikeprune.adapters.speedups import hoist
from spikeprune.execution.forward import forward
from spikeprune.measuring.evaluate import evaluate
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.science.cost import conv_fan_out
from spikeprune.wiring.trace import trace

T = 3


def net(name="vgg-small"):
    torch.manual_seed(0)
    small = {"widths": (4, 5), "strides": (2, 1)} if name == "vgg-small" else {"width": 0.03125}
    model = zoo.build(name, classes=3, in_channels=1, image_size=32, time_steps=T, **small)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.0, 1.0)  # neurons fire
        elif isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data[module.weight.abs() < module.weight.abs().median()] = 0
    return model


def batches(count=2):
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(5, 1, 32, 32, generator=generator).relu() for _ in range(count)]
    return [(one, torch.zeros(len(one), dtype=torch.long)) for one in x]


def synops(model, wiring, reads):
    modules = {name: model.get_submodule(name) for name in wiring.layers}
    return {
        name: float((reads[name] * conv_fan_out(m.weight, getattr(m, "groups", 1))).sum())
        for name, m in modules.items()
    }


@pytest.mark.parametrize("name", ["vgg-small", "vgg11", "resnet19-pre", "sew-resnet18"])
@pytest.mark.parametrize("hoisted", [False, True])
def test_reads_times_live_weights_are_the_counted_synops(name, hoisted):
    model = net(name).eval()
    if hoisted:
        assert hoist(model)
    wiring = trace(model, torch.zeros(1, 1, 32, 32))
    counted = evaluate(
        model, batches(), time_steps=T, wiring=wiring, classes=3, latency=False
    ).layers
    reads = WeightOperands(model, wiring, train=False)
    with torch.no_grad(), reads:
        for x, _ in batches():
            forward(model, x, time_steps=T)
    found = synops(model, wiring, reads.compute(10))
    assert found == pytest.approx({row.name: row.synops for row in counted})
    assert sum(found.values()) > 0


def test_forwards_in_the_other_mode_are_left_out():
    model = net()
    wiring = trace(model, torch.zeros(1, 1, 32, 32))
    (x, _), *_ = batches()
    one = WeightOperands(model.train(), wiring, train=True)
    with torch.no_grad(), one:
        forward(model, x, time_steps=T)
        before = one.compute(5)
        forward(model.eval(), x, time_steps=T)
    after = one.compute(5)
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert not any(m._forward_hooks for m in model.modules())


def test_a_window_under_way_goes_on_after_a_resume():
    model = net().eval()
    wiring = trace(model, torch.zeros(1, 1, 32, 32))
    (first, _), (second, _) = batches()
    whole, half, rest = (WeightOperands(model, wiring, train=False) for _ in range(3))
    with torch.no_grad():
        whole.arm()
        half.arm()
        forward(model, first, time_steps=T)
        state = half.state_dict()
        half.disarm()
        rest.load_state_dict(state)
        forward(model, second, time_steps=T)
    found, expected = rest.compute(10), whole.compute(10)
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    rest.load_state_dict({"armed": False, "layers": {}})
    whole.disarm()
    assert not any(m._forward_hooks for m in model.modules())


class Gesture(nn.Module):
    """Dropout ahead of prunable layers, in the manner of nets for event cameras."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(2, 4, 3, padding=1), neuron.LIFNode(v_threshold=0.1), layer.Flatten(),
            layer.Dropout(0.5), layer.Linear(64, 8), neuron.LIFNode(v_threshold=0.1),
            layer.Dropout(0.5), layer.Linear(8, 3),
        )  # fmt: skip
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("train", [True, False])
def test_dropout_ahead_of_a_layer(train):
    torch.manual_seed(0)
    model = Gesture().train(train)
    x = torch.randn(4, 2, 2, 4, 4)
    wiring = trace(model, x[0, :1], time_steps=4, layout="sequence")
    assert wiring.layers["body.4"].binary
    read = []
    hook = model.body[4].register_forward_hook(lambda m, args, out: read.append(args[0].detach()))
    with WeightOperands(model, wiring, train=train) as counter:
        model(x)
    hook.remove()
    values = set(read[0].unique().tolist())
    assert values == ({0.0, 2.0} if train else {0.0, 1.0})
    expected = (read[0] != 0).sum((0, 1)).double() / 2
    assert torch.equal(counter.compute(2)["body.4"], expected)
    assert 0 < expected.sum() < 4 * 64


def test_a_budget_of_synops_with_dropout():
    torch.manual_seed(0)
    model = Gesture()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.randn(4, 8, 2, 4, 4), torch.arange(8) % 3
    pruner = Pruner(
        model, optimizer, x[0, :2], time_steps=4, total_steps=6, sparsity=0.5, budget="synops",
        layout="sequence",
    )  # fmt: skip
    for _ in range(6):
        functional.reset_net(model)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x).mean(0), y).backward()
        optimizer.step()
        pruner.step()
    use = pruner.events[-1].budget
    assert use.unit == "synops"
    assert 0 < use.cost <= use.allowed < use.total
