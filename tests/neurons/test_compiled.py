"""The compiled body of fused neurons against SpikingJelly's own, and against the eager body."""

import copy
import pickle
import warnings
from unittest import mock

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import fuse, unfuse
from spikeprune.errors import ModelError
from spikeprune.execution.forward import forward
from spikeprune.neurons import compiled, kernels, multistep
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.multistep import run
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS, autograd_slope
from spikeprune.training.losses import loss_by_name

T = 3
KINDS = {"if": neuron.IFNode, "lif": neuron.LIFNode, "plif": neuron.ParametricLIFNode}
LIF = Dynamics(1.0, 0.0, 4 / 3, True, True, True, CLOSED_FORMS["atan"](2.0))


@pytest.fixture
def made(monkeypatch):
    """The kinds of kernel that were made."""
    kinds = []
    original = kernels._made
    monkeypatch.setattr(kernels, "_made", lambda kind: kinds.append(kind) or original(kind))
    return kinds


def make(kind="lif", *, tau=4 / 3, decay_input=True, **options):
    options = {"surrogate_function": surrogate.ATan(), "step_mode": "m"} | options
    if kind != "if":
        options |= {"tau" if kind == "lif" else "init_tau": tau, "decay_input": decay_input}
    return KINDS[kind](**options)


def pair(*args, **options):
    """The same neuron as SpikingJelly made it, and compiled."""
    plain = make(*args, **options)
    ours = copy.deepcopy(plain)
    assert fuse(ours, compiled=True).fused == ("",)
    return plain, ours


def close(ours, theirs):
    scale = max(1.0, float(theirs.abs().max()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


def laid_out(x, layout):
    if layout == "channels last":
        flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return flat.unflatten(0, x.shape[:2])
    if layout == "static":
        return x[:1].expand(x.shape)
    if layout == "transposed":
        return x.transpose(1, 4).contiguous().transpose(1, 4)
    if layout == "sliced":
        return torch.stack([x, x], -1)[..., 0]
    if layout == "every second step":
        return torch.stack([x, x], 1).flatten(0, 1)[::2]
    return x


def outcome(node, shape, layout, seed=0):
    """Outputs and gradients of one call with state carried over."""
    generator = torch.Generator().manual_seed(seed)
    x, v, at_spikes = (torch.randn(s, generator=generator) for s in (shape, shape[1:], shape))
    x.mul_(1.5)
    x[:, ::2] = x[:, ::2].mul(2).round().div(2)  # potentials that meet the threshold exactly
    v[::2] = v[::2].round()
    x.requires_grad_()
    v.requires_grad_()
    node.reset()
    node.v = v
    spikes = node(laid_out(x, layout))
    loss = (spikes * at_spikes).sum() + (node.v * torch.linspace(-1, 1, shape[-1])).sum()
    gradients = torch.autograd.grad(loss, (x, v, *node.parameters()))
    return (spikes, node.v), gradients


FORMS = {
    "if, soft": ("if", {"v_reset": None, "v_threshold": 0.5}),
    "lif, tau 4/3": ("lif", {"detach_reset": True}),
    "lif, input as it is": ("lif", {"tau": 3.7, "decay_input": False, "v_reset": -0.5}),
    "plif, soft": ("plif", {"v_reset": None, "detach_reset": True, "v_threshold": 0.3}),
    "plif, input as it is": ("plif", {"decay_input": False, "v_reset": 0.25}),
}
LAYOUTS = {
    "plain": (T, 7, 4, 6, 5),
    "channels last": (T, 3, 8, 5, 3),
    "transposed": (T, 2, 3, 2, 4),
    "sliced": (T, 1, 2, 1, 3),
    "every second step": (T, 3, 5),
    "large": (T, 2, 40, 30, 50),
}


@pytest.mark.parametrize("form", FORMS)
def test_same_spikes_bit_for_bit_and_same_gradients(form, compiler, made):
    kind, options = FORMS[form]
    plain, ours = pair(kind, **options)
    for layout, shape in LAYOUTS.items():
        values, gradients = outcome(plain, shape, layout)
        our_values, our_gradients = outcome(ours, shape, layout)
        for mine, theirs in zip(our_values, values, strict=True):
            assert torch.equal(mine, theirs), layout
        for mine, theirs in zip(our_gradients, gradients, strict=True):
            close(mine, theirs)
    assert len(made) <= 2  # whatever the shapes


@pytest.mark.parametrize("threads", [1, 2])
def test_other_constants_shapes_and_threads_need_no_other_kernels(threads, compiler, made):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for tau, threshold in ((1.1, 0.3), (50.0, 0.7), (7 / 3, 1.0)):
            plain, ours = pair("lif", tau=tau, v_threshold=threshold, detach_reset=True)
            values, gradients = outcome(plain, (T, 3, 70, 30, 30), "plain", seed=1)
            our_values, our_gradients = outcome(ours, (T, 3, 70, 30, 30), "plain", seed=1)
            assert torch.equal(our_values[0], values[0])
            assert torch.equal(our_values[1], values[1])
            close(our_gradients[0], gradients[0])
            assert len(made) <= (2 if tau == 1.1 else 0)
            made.clear()
    finally:
        torch.set_num_threads(before)


def test_a_training_step_of_a_net_with_the_same_image_in_every_step(compiler):
    torch.manual_seed(0)
    options = {"classes": 3, "in_channels": 1, "image_size": 16, "widths": (4, 4, 6, 6)}
    plain = zoo.build("vgg-small", time_steps=T, **options)
    ours = copy.deepcopy(plain)
    assert not fuse(ours, compiled=True).left
    x, y, results = torch.rand(3, 1, 16, 16), torch.tensor([0, 1, 2]), []
    for model in (plain, ours):
        logits = forward(model, x, time_steps=T)
        loss_by_name("mean-logits")(logits, y).backward()
        results.append(logits)
    assert torch.equal(*results)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        close(mine.grad, theirs.grad)


def test_potentials_come_in_one_call_and_change_nothing(compiler):
    x, results, seen = torch.randn(T, 4, 3, 5, 5), [], []
    for on in (True, False):
        node = make(detach_reset=True)
        fuse(node, compiled=on)
        got = []
        with torch.no_grad():
            unseen = node(x)
            node.reset()
            with adapter_for(node).observe(node, got.append, lambda: None):
                results.append(node(x))
        assert torch.equal(results[-1], unseen)
        assert len(got) == 1
        seen += got
    assert torch.equal(*results)
    assert torch.equal(*seen)
    assert torch.equal(seen[0] >= 0, results[0] > 0)


def test_only_the_input_is_kept_and_without_gradients_nothing(compiler):
    kept = []
    x = torch.randn(T, 4, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        run(x, 0.0, LIF, compiled=True)
        assert [t.numel() for t in kept] == [x.numel(), 1]
        assert kept[0].data_ptr() == x.data_ptr()
        kept.clear()
        with torch.no_grad():
            spikes, _ = run(x, 0.0, LIF, compiled=True)
    assert not kept
    assert not spikes.requires_grad


def test_spikes_may_be_changed_in_place_and_states_detached(compiler):
    x = torch.randn(T, 4, 5, requires_grad=True)
    spikes, last = run(x, 0.0, LIF, compiled=True)
    assert not spikes._is_view()
    last.detach_()
    spikes += 1
    spikes[0].mul_(2)
    spikes.sum().backward()
    expected = x.grad.clone()
    x.grad = None
    spikes, _ = run(x, 0.0, LIF)
    (spikes[0] * 2).sum().add(spikes[1:].sum()).backward()
    torch.testing.assert_close(expected, x.grad)


def test_what_a_recomputing_backward_cannot_do_is_refused(compiler):
    leaf = torch.randn(T, 4, 5, requires_grad=True)
    spikes, _ = run(leaf, 0.0, LIF, compiled=True)
    with pytest.raises(ModelError, match="create_graph=True"):
        torch.autograd.grad(spikes.sum(), leaf, create_graph=True)
    x = leaf * 2
    spikes, _ = run(x, 0.0, LIF, compiled=True)
    x += 1
    with pytest.raises(ModelError, match="changed in place before the backward"):
        spikes.sum().backward()


NOT_SERVED = {
    "float64": (torch.zeros(T, 2, 2, dtype=torch.float64), LIF),
    "many steps": (torch.zeros(compiled.MAX_STEPS + 1, 2), LIF),
    "one neuron": (torch.zeros(T, 1), LIF),
    "no closed form": (torch.zeros(T, 2), LIF._replace(slope=autograd_slope(torch.sigmoid))),
}


@pytest.mark.parametrize("case", NOT_SERVED)
def test_what_it_does_not_serve_takes_the_eager_body(case, monkeypatch):
    monkeypatch.setattr(kernels, "kernel", mock.Mock(side_effect=AssertionError))
    x, dynamics = NOT_SERVED[case]
    assert not compiled.serves(x, dynamics)
    assert run(x, 0.0, dynamics, compiled=True)[0].shape == x.shape


def test_without_a_compiler_it_is_said_once_and_the_eager_body_runs(fresh_process, monkeypatch):
    failing = mock.Mock(side_effect=RuntimeError("no g++\n  at all"))
    monkeypatch.setattr(kernels, "_compiled", failing)
    plain, ours = pair()
    x = torch.randn(T, 4, 5)
    with pytest.warns(UserWarning, match=r"not compiled: no g\+\+; kernels need a C\+\+ compiler"):
        spikes = ours(x)
    assert torch.equal(spikes, plain(x))
    assert torch.equal(ours(x), plain(x))  # a second warning would be an error
    assert failing.call_count == 1


def test_a_kernel_that_cannot_be_compiled_runs_step_by_step(fresh_process, monkeypatch):
    monkeypatch.setattr(compiled, "_compiler", lambda: True)
    failing = mock.Mock(side_effect=RuntimeError("x.cpp:1: error: no\nlast"))
    monkeypatch.setattr(kernels, "_compiled", failing)
    plain, ours = pair("plif", decay_input=False, v_reset=0.2)
    values, gradients = outcome(plain, (T, 4, 5), "plain")
    with pytest.warns(UserWarning, match=r"could not be compiled \(x.cpp:1: error: no;") as said:
        our_values, our_gradients = outcome(ours, (T, 4, 5), "plain")
    assert len(said) == 2  # forward and backward
    assert all(map(torch.equal, our_values, values))
    for mine, theirs in zip(our_gradients, gradients, strict=True):
        close(mine, theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome(ours, (T, 4, 5), "plain")


def test_copies_stay_compiled_and_fusing_again_settles_it():
    model = nn.Sequential(make("plif"))
    attributes = dict(vars(model[0]))
    fuse(model, compiled=True)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(copied[0]) is type(model[0])
        assert copied[0]._compiled_body
    fuse(model)
    assert not model[0]._compiled_body
    fuse(model, compiled=True)
    assert unfuse(model) == ("0",)
    assert type(model[0]) is neuron.ParametricLIFNode
    assert vars(model[0]) == attributes


def test_a_simulation_is_too_small_to_compile_for(monkeypatch):
    monkeypatch.setattr(multistep, "serves", mock.Mock(side_effect=AssertionError))
    drive = torch.linspace(0, 3, 7)
    spikes = [adapter_for(node).simulate(node, drive, 40) for node in pair()]
    assert torch.equal(*spikes)
    assert spikes[0].any()
