"""The entry of both bodies of a fused neuron: which one runs, and on what they agree."""

from unittest import mock

import pytest
import torch

from spikeprune.neurons import multistep
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.multistep import run
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS

T = 3
LIF = Dynamics(1.0, 0.0, 4 / 3, True, True, True, CLOSED_FORMS["atan"](2.0))


@pytest.mark.parametrize(
    ("asked", "serves", "expected"),
    [(True, True, "Compiled"), (True, False, "Eager"), (False, True, "Eager")],
)
@pytest.mark.parametrize("gradient", [True, False])
def test_the_compiled_body_runs_if_asked_for_and_able(
    asked, serves, expected, gradient, monkeypatch
):
    monkeypatch.setattr(multistep, "serves", lambda x, dynamics: serves)
    bodies = {name: mock.Mock() for name in ("Compiled", "Eager")}
    for name, body in bodies.items():
        monkeypatch.setattr(multistep, name, body)
    result = run(torch.zeros(T, 2, requires_grad=gradient), 0.0, LIF, compiled=asked)
    body = bodies.pop(expected)
    assert result is (body.apply if gradient else body.infer).return_value
    assert not any(other.mock_calls for other in bodies.values())


def test_every_sink_takes_all_potentials_in_one_call():
    x, seen = torch.tensor([[0.5], [0.75], [0.25]]), ([], [])
    integrate = LIF._replace(leak=None, decay_input=False)
    spikes, last = run(x, 0.0, integrate, sinks=[taken.append for taken in seen])
    for (potentials,) in seen:  # H is 0.5, 1.25 and, after the reset to 0, 0.25
        assert potentials.flatten().tolist() == [-0.5, 0.25, -0.75]
    assert spikes.flatten().tolist() == [0.0, 1.0, 0.0]
    assert last.tolist() == [0.25]


def test_memory_format_is_kept():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).expand(T, 2, 3, 4, 5)
    spikes, last = run(x, torch.zeros(2, 3, 4, 5), LIF)
    assert spikes[0].is_contiguous(memory_format=torch.channels_last)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_is_that_of_the_eager_body(compiler):
    results = []
    for on in (True, False):
        x = torch.randn(T, 5, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
        x.requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            spikes, last = run(x, 0.0, LIF, compiled=on)
        (gradient,) = torch.autograd.grad(spikes, x, torch.ones_like(spikes))
        results.append((spikes, last, gradient))
    ours, eager = results
    assert [t.dtype for t in ours] == [torch.bfloat16, torch.float32, torch.bfloat16]
    assert torch.equal(ours[0], eager[0])
    assert torch.equal(ours[1], eager[1])
    torch.testing.assert_close(ours[2], eager[2], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("used", [(True, False), (False, True), (False, False)])
def test_outputs_that_nobody_used_have_no_gradient(used, compiler):
    gradients = []
    for on in (True, False):
        x = torch.randn(T, 2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        outputs = run(x, 0.25, LIF, compiled=on)
        loss = torch.zeros((), requires_grad=True)
        loss = loss + sum(o.square().sum() for o, u in zip(outputs, used, strict=True) if u)
        gradients.append(torch.autograd.grad(loss, x, allow_unused=True)[0])
    if any(used):
        torch.testing.assert_close(*gradients)
    else:
        assert gradients == [None, None]
