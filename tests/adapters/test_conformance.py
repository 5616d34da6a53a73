"""What every adapter must hold. A new adapter needs a row in CASES and nothing else here."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from spikeprune.adapters.declared import DECLARED
from spikeprune.adapters.registry import adapter_for, adapters, spiking_neurons

T, B, C = 4, 3, 5


@dataclass
class Case:
    """One neuron, and a net `conv -> norm -> neuron -> linear` of such neurons, T steps long."""

    neuron: Callable[[], nn.Module]
    run: Callable[[nn.Module, Tensor], Tensor]  # neuron or net on [T, B, ...] -> [T, B, ...]
    net: Callable[[], nn.Module]


def sj_run(module, x):
    mode = getattr(module, "step_mode", None)
    multi = mode == "m" if mode else next(iter(spiking_neurons(module).values())).step_mode == "m"
    return module(x) if multi else torch.stack([module(step) for step in x])


def sj_net(node, mode):
    model = nn.Sequential(
        layer.Conv2d(2, C, 3, padding=1),
        layer.BatchNorm2d(C),
        node(),
        layer.Flatten(),
        layer.Linear(C * 16, 3),
    )
    functional.set_step_mode(model, mode)
    return model


def sj_case(kind, mode, **options):
    def node():
        return kind(**options, surrogate_function=surrogate.ATan(), step_mode=mode)

    return Case(node, sj_run, lambda: sj_net(node, mode))


CASES = {
    "spikingjelly": {
        f"{kind.__name__}-{mode}-{'soft' if reset is None else 'hard'}": sj_case(
            kind, mode, v_reset=reset
        )
        for kind in (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
        for mode in "sm"
        for reset in (0.0, None)
    }
}
IDS = [(framework, case) for framework, cases in CASES.items() for case in cases]


@pytest.fixture(params=IDS, ids=[" ".join(i) for i in IDS])
def case(request):
    torch.manual_seed(0)
    framework, name = request.param
    return CASES[framework][name]


def surroundings(model):
    """Everything about the modules that an adapter could leave changed."""
    return {
        name: (
            type(module),
            {key: id(value) for key, value in vars(module).items()},
            {key: id(value) for key, value in module._modules.items()},
            dict(module._forward_hooks),
            dict(module._forward_pre_hooks),
            module.training,
            getattr(module, "step_mode", None),
            [id(p) for p in module.parameters()],
        )
        for name, module in model.named_modules()
    }


def ignore(*_):
    pass


def test_every_adapter_has_cases():
    assert {adapter.framework for adapter in adapters() if adapter is not DECLARED} <= set(CASES)


def test_a_neuron_is_observable_and_not_opaque(case):
    module = case.neuron()
    adapter = adapter_for(module)
    assert adapter.matches(module)
    assert not adapter.opaque(module)
    for other in (nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm2d(2)):
        assert not adapter.matches(other)
        assert not adapter.opaque(other)


@pytest.mark.parametrize("train", [True, False])
def test_potentials_say_when_it_fires_and_firing_stays_the_same(case, train):
    module = case.neuron().train(train)
    adapter, x = adapter_for(module), 1.5 * torch.randn(T, B, C, 2, 2)
    outcomes, seen, resets = [], [], []
    for observed in (False, True):
        adapter.reset(module)
        drive = x.clone().requires_grad_()
        if observed:
            with adapter.observe(module, seen.append, lambda: resets.append(len(seen))):
                spikes = case.run(module, drive)
                adapter.reset(module)
        else:
            spikes = case.run(module, drive)
        outcomes.append((spikes, torch.autograd.grad((spikes * x).sum(), drive)[0]))
    potentials = torch.cat(seen)
    assert potentials.shape == x.shape
    assert not potentials.requires_grad
    assert torch.equal((potentials >= 0).float(), outcomes[1][0])
    assert 0 < potentials.ge(0).float().mean() < 1
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert torch.equal(outcomes[0][1], outcomes[1][1])
    assert resets == [len(seen)]


def test_observing_leaves_nothing_behind_even_after_an_exception(case):
    model = case.net()
    adapter = adapter_for(model)
    before = surroundings(model)

    def explode(_):
        raise RuntimeError("sink")

    (module,) = spiking_neurons(model).values()
    with (
        pytest.raises(RuntimeError, match="sink"),
        adapter.observe(module, explode, ignore),
    ):
        case.run(model, torch.randn(T, B, 2, 4, 4))
    assert surroundings(model) == before
    case.run(model, torch.randn(T, B, 2, 4, 4))


def test_surrogate_and_primitive_are_a_step_and_its_smooth_version(case):
    module = case.neuron()
    adapter, u = adapter_for(module), torch.linspace(-1, 1, 9).requires_grad_()
    spikes = adapter.surrogate(module)(u)
    assert torch.equal(spikes, (u >= 0).float())
    (slope,) = torch.autograd.grad(spikes.sum(), u)
    smooth = adapter.primitive(module)(u)
    assert slope.argmax() == 4
    torch.testing.assert_close(torch.autograd.grad(smooth.sum(), u)[0], slope)
    assert adapter.threshold(module) == 1.0


def test_tracing_passes_neurons_through_one_slice_and_restores(case):
    model = case.net()
    adapter = adapter_for(model)
    case.run(model, torch.randn(T, B, 2, 4, 4))  # state of an earlier batch
    before, states = surroundings(model), {k: v.clone() for k, v in model.state_dict().items()}
    conv, norm, module, flatten, linear = model
    x = torch.randn(2, 2, 4, 4)
    with adapter.tracing(model):
        assert torch.is_grad_enabled()
        assert not model.training
        drive = norm(conv(x))
        out = module(drive)
        assert torch.equal(out, drive)
        assert out.grad_fn is not drive.grad_fn
        assert out.grad_fn.next_functions[0][0] is drive.grad_fn
        (slope,) = torch.autograd.grad(out.sum(), drive, retain_graph=True)
        assert torch.equal(slope, torch.ones_like(drive))
        out += 1  # models may change a neuron's output in place
        assert linear(flatten(out)).shape == (2, 3)
    assert surroundings(model) == before
    assert all(torch.equal(states[k], v) for k, v in model.state_dict().items())
    with pytest.raises(ZeroDivisionError), adapter.tracing(model):
        _ = 1 / 0
    assert surroundings(model) == before


def test_reset_forgets(case):
    module = case.neuron()
    x = 1.6 * torch.rand(T, B, C)
    first, second = case.run(module, x), case.run(module, x)
    adapter_for(module).reset(module)
    assert torch.equal(case.run(module, x), first)
    assert not torch.equal(second, first)


def test_simulating_equals_running_and_touches_nothing(case):
    module = case.neuron()
    adapter, drive = adapter_for(module), torch.tensor([0.0, 0.4, 0.9, 1.1, 2.5])
    before = surroundings(module)
    spikes = adapter.simulate(module, drive, 6)
    assert surroundings(module) == before
    case.run(module, torch.randn(T, B, C))
    again = adapter.simulate(module, drive, 6)
    adapter.reset(module)
    expected = case.run(module.eval(), drive.expand(6, 1, C)).squeeze(1)
    assert spikes.shape == (6, C)
    assert torch.equal(spikes, expected)
    assert torch.equal(again, expected)
    assert not spikes.requires_grad
