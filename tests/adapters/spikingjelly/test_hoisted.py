"""Hoisted SpikingJelly layers: what T equal steps give, computed once, and nothing else changed."""

import copy
import pickle

import pytest
import torch
import torch.distributed as dist
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.adapters.speedups import fuse, hoist, unhoist
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.wiring.trace import trace

T, B = 5, 3


def vision(momentum=0.1, **norm):
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1, bias=False),
        layer.BatchNorm2d(6, momentum=momentum, **norm),
        layer.MaxPool2d(2),
        layer.Conv2d(6, 4, 3, groups=2),
        layer.GroupNorm(2, 4),
        layer.BatchNorm2d(4, momentum=momentum, **norm),
        neuron.LIFNode(),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(4, 5),
    )
    functional.set_step_mode(net, "m")
    return net


def tabular(momentum=0.1, **norm):
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Linear(7, 6),
        layer.BatchNorm1d(6, momentum=momentum, **norm),
        neuron.IFNode(),
        layer.Linear(6, 5),
    )
    functional.set_step_mode(net, "m")
    return net


def lines(momentum=0.1, **norm):
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv1d(2, 4, 3),
        layer.BatchNorm1d(4, momentum=momentum, **norm),
        layer.AdaptiveAvgPool1d(3),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(12, 5),
    )
    functional.set_step_mode(net, "m")
    return net


NETS = {"vision": (vision, (2, 8, 8)), "tabular": (tabular, (7,)), "lines": (lines, (2, 9))}


def step(net, x):
    functional.reset_net(net)
    net.zero_grad()
    y = net(x)
    (y.mean(0) * torch.arange(1.0, 6)).logsumexp(-1).sum().backward()
    return y.detach()


def images(shape, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(B, *shape, generator=generator, dtype=dtype) + 0.5


@pytest.mark.parametrize("build", NETS)
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0, None])
@pytest.mark.parametrize("training", [True, False])
def test_one_step_gives_what_t_equal_steps_give(build, momentum, training):
    """In double precision, so that rounding does not hide a wrong factor, over several batches."""
    make, shape = NETS[build]
    every, once = make(momentum).double().train(training), make(momentum).double().train(training)
    assert hoist(once)
    for seed in range(3):
        x = images(shape, seed).requires_grad_()
        outputs = []
        for net in (every, once):
            outputs.append((step(net, x.expand(T, *x.shape)), x.grad))
            x.grad = None
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-9, atol=1e-9)
        for (name, p), q in zip(every.named_parameters(), once.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-9, atol=1e-9, msg=name)
        for (name, p), q in zip(every.named_buffers(), once.buffers(), strict=True):
            torch.testing.assert_close(q, p, rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("training", [True, False])
def test_in_float32_outputs_and_statistics_agree_to_1e_6(training):
    every, once = vision().train(training), vision().train(training)
    hoist(once)
    for seed in range(10):
        x = images((2, 8, 8), seed, torch.float32).expand(T, B, 2, 8, 8)
        drive = [net[:6](x) for net in (every, once)]  # what the first neuron is given
        torch.testing.assert_close(drive[1], drive[0], rtol=0, atol=1e-6)
    for (name, p), q in zip(every.named_buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(q, p, rtol=1e-6, atol=1e-6, msg=name)


def test_the_correction_is_needed():
    net, every = vision().train(), vision().train()
    x = images((2, 8, 8), dtype=torch.float32)
    net[:2](x.unsqueeze(0))
    every[:2](x.expand(T, *x.shape))
    assert not torch.allclose(net[1].running_var, every[1].running_var, rtol=1e-4)


def test_no_statistics_means_those_of_the_batch():
    every, once = vision(track_running_stats=False).eval(), vision(track_running_stats=False).eval()
    hoist(once)
    x = images((2, 8, 8), dtype=torch.float32).expand(T, B, 2, 8, 8)
    torch.testing.assert_close(step(once, x), step(every, x))


def calls(net, x):
    """Return the first axis of what each convolution or linear layer computes on."""
    seen = []
    original = {"conv": torch.conv2d, "linear": nn.functional.linear}

    def conv(input, *args):
        seen.append(input.shape[0] // x.shape[1])
        return original["conv"](input, *args)

    functional.reset_net(net)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "conv2d", conv)
        net(x)
    return seen


def test_the_chain_up_to_the_first_neuron_runs_once_and_only_on_equal_steps():
    net = vision()
    x = images((2, 8, 8), dtype=torch.float32)
    same, repeated = x.expand(T, *x.shape), x.repeat(T, 1, 1, 1, 1)
    assert calls(net, same) == [T, T]
    hoist(net)
    assert calls(net, same) == [1, 1]
    assert calls(net, repeated) == [T, T]
    assert calls(net, x.expand(1, *x.shape)) == [1, 1]
    drops = nn.Sequential(layer.Dropout(0.5, step_mode="m"), *net).train()
    assert calls(drops, same) == [T, T]
    assert unhoist(net) == ("0", "1", "2", "3", "4", "5", "7", "8", "9")
    assert calls(net, same) == [T, T]
    assert unhoist(net) == ()


def test_nothing_else_changes():
    net, plain = vision(), vision()
    state = net.state_dict()
    parts = list(net.modules())
    assert hoist(net) == hoist(net) == ("0", "1", "2", "3", "4", "5", "7", "8", "9")
    assert str(net) == str(plain)
    assert list(net.modules()) == parts
    assert net.state_dict().keys() == state.keys()
    assert isinstance(net[0], layer.Conv2d)
    x = images((2, 8, 8), dtype=torch.float32)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert calls(copied, x.expand(T, *x.shape)) == [1, 1]
        assert unhoist(copied)
        assert calls(net, x.expand(T, *x.shape)) == [1, 1]
    functional.set_step_mode(net, "s")
    assert net(x).shape == (B, 5)


def test_the_wiring_is_the_same():
    net = vision()
    before = trace(net, torch.zeros(1, 2, 8, 8))
    hoist(net)
    assert trace(net, torch.zeros(1, 2, 8, 8)) == before


def test_hooks_see_whole_sequences_and_gradients_of_them():
    x = images((2, 8, 8), dtype=torch.float32)
    seen = {}
    for name, net in {"every": vision(), "once": vision()}.items():
        if name == "once":
            hoist(net)
        shapes, gradients = [], []
        for module in net[:4]:
            module.register_forward_hook(
                lambda m, args, out, shapes=shapes: shapes.append((args[0].shape, out.shape))
            )
        net[1].register_full_backward_hook(
            lambda m, into, outof, g=gradients: g.extend([into[0].sum(0), outof[0].sum(0)])
        )
        net[2].register_forward_hook(
            lambda m, args, out, g=gradients: (
                out.register_hook(lambda d: g.append(d.sum(0))) and None
            )
        )
        step(net, x.expand(T, *x.shape))
        seen[name] = shapes, gradients
    assert seen["once"][0] == seen["every"][0]
    assert len(seen["once"][1]) == 3
    torch.testing.assert_close(seen["once"][1], seen["every"][1], rtol=1e-4, atol=1e-5)


def test_two_forwards_before_a_backward():
    net = vision().train()
    hoist(net)
    x = images((2, 8, 8), dtype=torch.float32)
    total = 0
    for _ in range(2):
        functional.reset_net(net)
        total = total + net(x.expand(T, *x.shape)).sum()
    total.backward()
    assert net[0].weight.grad.isfinite().all()


def test_one_value_per_channel_computes_all_steps_as_ever():
    every, once = tabular().train(), tabular().train()
    hoist(once)
    x = torch.randn(1, 7).expand(T, 1, 7)
    torch.testing.assert_close(step(once, x), step(every, x))
    torch.testing.assert_close(once[1].running_var, every[1].running_var)


def test_layers_that_may_compute_something_else_stay():
    class Noisy(layer.Conv2d):
        def forward(self, x):
            return super().forward(x + torch.randn(x.shape))

    net = nn.Sequential(Noisy(2, 4, 3, step_mode="m"), layer.Dropout(step_mode="m"), nn.ReLU())
    assert hoist(net) == ()
    replaced = layer.Linear(7, 7, step_mode="m")
    assert hoist(replaced) == ("",)
    replaced.forward = lambda x: x + torch.arange(T).view(T, 1, 1)
    assert not replaced.hoists(torch.zeros(1, 7).expand(T, 1, 7))
    indices = layer.MaxPool2d(2, return_indices=True, step_mode="m")
    hoist(indices)
    x = images((2, 8, 8), dtype=torch.float32)
    assert [part.shape for part in indices(x.expand(T, *x.shape))] == [(T, B, 2, 4, 4)] * 2


def test_gradients_that_are_off_above_stay_off():
    first, second = layer.Linear(7, 7, step_mode="m"), layer.Linear(7, 7, step_mode="m")
    hoist(nn.Sequential(first, second))
    h = first(torch.randn(B, 7).expand(T, B, 7))
    second(h.detach()).sum().backward()
    assert first.weight.grad is None
    with torch.no_grad():
        dense = first(torch.randn(B, 7).expand(T, B, 7))[0]
        hidden = dense.requires_grad_().expand(T, B, 7)
    second(hidden).sum().backward()
    assert dense.grad is None


def test_under_autocast_with_fused_neurons():
    every, once = vision().train(), vision().train()
    hoist(once)
    x = images((2, 8, 8), dtype=torch.float32)
    found = []
    for net in (every, once):
        fuse(net)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found.append(step(net, x.expand(T, *x.shape)))
    torch.testing.assert_close(found[1], found[0])
    assert found[0].dtype == torch.bfloat16
    torch.testing.assert_close(once[1].running_var, every[1].running_var, rtol=1e-5, atol=1e-6)


def test_a_folded_net_still_runs_its_first_layers_once():
    net = vision().eval()
    hoist(net)
    x = images((2, 8, 8), dtype=torch.float32)
    folded = fold_batchnorm(net, x[:1])
    assert isinstance(folded[1], nn.Identity)
    torch.testing.assert_close(
        step(folded, x.expand(T, *x.shape)), step(net, x.expand(T, *x.shape))
    )
    assert calls(folded, x.expand(T, *x.shape)) == [1, 1]


def test_wrapped_for_several_processes(tmp_path):
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        alone, inner = vision().train(), vision().train()
        hoist(inner)
        wrapped = nn.parallel.DistributedDataParallel(inner)
        x = images((2, 8, 8), dtype=torch.float32).expand(T, B, 2, 8, 8)
        torch.testing.assert_close(step(wrapped, x), step(alone, x))
        for p, q in zip(alone.parameters(), inner.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-5)
        for p, q in zip(alone.buffers(), inner.buffers(), strict=True):
            torch.testing.assert_close(q, p)
        del wrapped  # before the group: torch may wait for ever in the other order
    finally:
        dist.destroy_process_group()
