"""bfloat16: where it is chosen, what stays float32, and a pruner in a loop with autocast."""

import platform

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn.functional import cross_entropy

from spikeprune.adapters.registry import spiking_neurons
from spikeprune.adapters.speedups import fuse, hoist
from spikeprune.cutting.compact import cut
from spikeprune.execution.precision import (
    autocast,
    exact,
    has_bf16,
    like_parameters,
    resolve,
    widen,
)
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.observer import Observer
from spikeprune.observing.potential_sums import PotentialSums
from spikeprune.pruning.pruner import Pruner
from spikeprune.wiring.trace import trace

T, B, K = 4, 8, 5
CPU = torch.device("cpu")


def net():
    torch.manual_seed(0)

    def spikes():
        return neuron.LIFNode(surrogate_function=surrogate.ATan(), detach_reset=True)

    model = nn.Sequential(
        layer.Conv2d(2, 8, 3, padding=1, bias=False), layer.BatchNorm2d(8), spikes(),
        layer.Conv2d(8, 12, 3, padding=1, bias=False), layer.BatchNorm2d(12), spikes(),
        layer.AdaptiveAvgPool2d((1, 1)), layer.Flatten(), layer.Linear(12, K),
    )  # fmt: skip
    functional.set_step_mode(model, "m")
    return model


def batch(seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(B, 2, 6, 6, generator=generator)
    return x.to(dtype), torch.randint(K, (B,), generator=generator)


def test_native_instructions_are_asked_for_not_emulation(monkeypatch):
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for answers in ((False, False), (True, False), (False, True)):
        for name, answer in zip(names, answers, strict=True):
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
        assert has_bf16(CPU) is any(answers)
        assert resolve("auto", "cpu") == ("bf16" if any(answers) else "fp32")
    for name in names:  # a PyTorch that cannot tell
        monkeypatch.delattr(torch.cpu, name)
    assert has_bf16(CPU) is False
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert has_bf16(CPU) is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert has_bf16(torch.device("meta")) is False


def test_a_named_precision_is_used():
    assert [resolve(name, "cpu") for name in ("fp32", "bf16", "half")] == ["fp32", "bf16", "half"]


def test_the_contexts():
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(name, CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
            with exact(CPU):
                assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with exact(torch.device("meta")):
        pass


def test_inputs_take_the_type_of_the_parameters():
    half = torch.ones(2, dtype=torch.bfloat16)
    assert like_parameters(nn.Linear(2, 2), half).dtype == torch.float32
    assert like_parameters(nn.Linear(2, 2).double(), half).dtype == torch.float64
    assert like_parameters(nn.Identity(), half) is half
    assert like_parameters(nn.Linear(2, 2), half.long()).dtype == torch.int64


def test_unfused_neurons_keep_half_precision_potentials_unless_widened():
    x = torch.randn(T, B, 3).bfloat16().requires_grad_()
    reference, bare, wide = (neuron.LIFNode(step_mode="m") for _ in range(3))
    widen([wide])
    widen([wide])
    assert len(wide._forward_pre_hooks) == 1
    expected = reference(x.float())
    assert bare(x).dtype == bare.v.dtype == torch.bfloat16
    found = wide(x)
    assert found.dtype == wide.v.dtype == torch.float32
    assert torch.equal(found, expected)
    found.sum().backward()
    assert x.grad.dtype == torch.bfloat16


def prepared(*, fused):
    model = net()
    left = fuse(model).left if fused else spiking_neurons(model)
    assert bool(left) is not fused
    widen(m for n, m in spiking_neurons(model).items() if n in left)
    return model.train()


@pytest.mark.parametrize("fused", [True, False])
def test_potentials_are_observed_in_float32(fused, monkeypatch):
    taken, take = [], PotentialSums.__call__

    def noted(self, x):
        taken.append(x.dtype)
        take(self, x)

    monkeypatch.setattr(PotentialSums, "__call__", noted)
    x, scores = batch()[0], {}
    for precision in ("fp32", "bf16"):
        model = prepared(fused=fused)
        with Observer(model, time_steps=T, train=True) as observer, autocast(precision, CPU):
            model(x.expand(T, *x.shape))
        scores[precision] = {name: s.score for name, s in observer.compute().items()}
    assert set(taken) == {torch.float32}
    torch.testing.assert_close(scores["bf16"], scores["fp32"], rtol=0.05, atol=0.05)


def train(model, pruner_of, *, dtype=torch.float32, steps=6):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner = pruner_of(model, optimizer)
    for seed in range(steps):
        x, y = batch(seed, dtype)
        functional.reset_net(model)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x.expand(T, *x.shape))
            assert logits.dtype == torch.bfloat16
            loss = cross_entropy(logits.float().mean(0), y)
        loss.backward()
        optimizer.step()
        pruner.step()
    return pruner, optimizer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("regrow", ["criticality", "gradient"])
def test_a_pruner_in_a_loop_with_autocast(dtype, fused, regrow):
    model = prepared(fused=fused)
    hoist(model)
    options = {"time_steps": T, "total_steps": 6, "sparsity": 0.7, "every": 2}
    options |= {"method": "criticality", "regrow": regrow}
    example = batch(dtype=dtype)[0][:1]
    make = lambda m, o: Pruner(m, o, example, **options)  # noqa: E731
    pruner, optimizer = train(model, make, dtype=dtype, steps=7)
    total = pruner.mask.total
    assert [event.live for event in pruner.events][-1] == round(0.3 * total)
    assert all(event.regrown > 0 for event in pruner.events)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert optimizer.state[parameter]["momentum_buffer"].dtype == torch.float32
        if name in pruner.mask:
            assert not parameter[~pruner.mask[name]].any()
            assert not parameter.grad[~pruner.mask[name]].any()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the proof is exact all the same
        result = cut(pruner)
    assert result.difference < 1e-5


def test_channels_scored_over_a_loader_of_half_precision_inputs():
    batches = [batch(seed, torch.bfloat16) for seed in range(2)]
    model = prepared(fused=True)
    options = {"granularity": "channel", "sparsity": 0.5, "time_steps": T, "total_steps": 3}
    pruner, _ = train(
        model,
        lambda m, o: Pruner(
            m, o, batches[0][0][:1], score_batches=batches,
            criticality=CriticalityOptions(score_on="train-set"), **options,
        ),
        dtype=torch.bfloat16,
        steps=3,
    )  # fmt: skip
    assert all(scores.dtype == torch.float32 for scores in pruner.last_scores.values())
    assert cut(pruner).difference < 1e-5


def test_autocast_does_not_change_the_trace_of_a_net():
    plain = trace(net(), torch.zeros(1, 2, 6, 6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert trace(net(), torch.zeros(1, 2, 6, 6)) == plain
    assert trace(net(), torch.zeros(1, 2, 6, 6, dtype=torch.bfloat16)) == plain
