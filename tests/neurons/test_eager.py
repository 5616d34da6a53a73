"""The eager body of a fused neuron against a plain loop with autograd, in float64."""

import itertools
import math

import pytest
import torch

from spikeprune.neurons import blocks, multistep
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS

ATAN = CLOSED_FORMS["atan"](2.0)
LIF = Dynamics(1.0, 0.0, 2.0, True, True, True, ATAN)


class Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx, gradient):
        (u,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * u).square())


def plain_loop(x, v, w, d):
    """The equations as they stand, for autograd."""
    k = 0.0 if d.leak is None else 1 / d.leak if d.divides else torch.sigmoid(w)
    rest, spikes = d.reset or 0.0, []
    for current in x:
        h = v - k * (v - rest) + (k * current if d.decay_input else current)
        s = Fire.apply(h - d.threshold)
        spikes.append(s)
        through = s.detach() if d.detach_reset else s
        hard = rest * through + (1 - through) * h
        v = h - d.threshold * through if d.reset is None else hard
    return torch.stack(spikes), v


KINDS = {
    "if": (None, False, (False,)),
    "lif": (1.7, False, (True, False)),
    "plif": (0, True, (True, False)),
}
CASES = [
    (kind, decay, reset, detach)
    for kind, reset, detach in itertools.product(KINDS, (0.0, -0.4, None), (True, False))
    for decay in KINDS[kind][2]
]


@pytest.mark.parametrize("small_blocks", [False, True])
@pytest.mark.parametrize(("kind", "decay", "reset", "detach"), CASES)
def test_gradients_are_those_of_a_plain_loop(kind, decay, reset, detach, small_blocks, monkeypatch):
    if small_blocks:  # 7 columns: 24 neurons are three blocks and a rest
        monkeypatch.setattr(blocks, "_SCRATCH", 35)
        monkeypatch.setattr(blocks, "_GRAIN", 1)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(s, generator=generator, dtype=torch.float64) for s in ((5, 4, 6), (4, 6))]
    weights = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in made]
    w = torch.tensor(0.3, dtype=torch.float64)
    leak, learned, _ = KINDS[kind]
    leak = torch.sigmoid(w).item() if learned else leak
    dynamics = Dynamics(0.6, reset, leak, kind == "lif", decay, detach, ATAN)
    results = []
    for step in ("fused", "plain"):
        x, v, weight = (t.clone().requires_grad_() for t in (*made, w))
        if step == "fused":
            spikes, last = multistep.run(x, v, dynamics, weight=weight if learned else None)
        else:
            spikes, last = plain_loop(x, v, weight, dynamics)
        loss = (spikes * weights[0]).sum() + (last * weights[1]).sum()
        inputs = (x, v, weight) if learned else (x, v)
        results.append((spikes, last, *torch.autograd.grad(loss, inputs)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("used", [(True, False), (False, True), (False, False)])
def test_outputs_that_nobody_used_have_no_gradient(used):
    x = torch.randn(3, 2, 4, requires_grad=True)
    outputs = multistep.run(x, 0.25, LIF)
    frozen = torch.zeros((), requires_grad=True)
    loss = frozen + sum((o * u).sum() for o, u in zip(outputs, used, strict=True) if u)
    gradient = torch.autograd.grad(loss, x, allow_unused=True)[0]
    if not any(used):
        assert gradient is None
        return
    copy = x.detach().clone().requires_grad_()
    expected = plain_loop(copy, torch.full((2, 4), 0.25), None, LIF)
    loss = sum((o * u).sum() for o, u in zip(expected, used, strict=True))
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, copy)[0])
