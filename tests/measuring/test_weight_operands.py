"""What weights read before an event: the same as an evaluation counts."""

import pytest
import torch
from torch import nn

from spikeprune import zoo
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
