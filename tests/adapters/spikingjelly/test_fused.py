"""Fused neurons against SpikingJelly's own, on the CPU."""

import copy
import pickle
from contextlib import ExitStack, contextmanager, nullcontext
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import fuse, unfuse
from spikeprune.adapters.spikingjelly import fused
from spikeprune.errors import ModelError, ObservationError
from spikeprune.execution.forward import forward
from spikeprune.neurons import blocks
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.trace import trace
from spikeprune.zoo.neurons import TanhSurrogate

T, B, C = 4, 2, 3
KINDS = {"if": neuron.IFNode, "lif": neuron.LIFNode, "plif": neuron.ParametricLIFNode}


def make(kind="lif", *, tau=4 / 3, decay_input=True, **options):
    options = {"surrogate_function": surrogate.ATan(), "step_mode": "m"} | options
    if kind != "if":
        options |= {"tau" if kind == "lif" else "init_tau": tau, "decay_input": decay_input}
    return KINDS[kind](**options)


def pair(*args, **options):
    """The same neuron as SpikingJelly made it, and fused."""
    plain = make(*args, **options)
    ours = copy.deepcopy(plain)
    assert fuse(ours).fused == ("",)
    return plain, ours


@contextmanager
def only_fused():
    """SpikingJelly's own multi-step forward is an error."""
    with ExitStack() as stack:
        for kind in KINDS.values():
            failing = mock.Mock(side_effect=AssertionError("not fused"))
            stack.enter_context(mock.patch.object(kind, "multi_step_forward", failing))
        yield


def close(ours, theirs):
    """Within 1e-5 of the largest entry; gradients can grow with time."""
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
    return x


def outcome(node, seeded, *, layout, carry, tied):
    """Spikes, potentials and gradients of two calls with state carried over, and one from reset."""
    generator = torch.Generator().manual_seed(seeded["seed"])
    leaves, results, loss = [], [], 0.0
    functional.reset_net(node)
    if carry:
        v = torch.randn(seeded["shape"][1:], generator=generator).requires_grad_()
        node.v = v
        leaves.append(v)
    for call in range(3):
        leaf = torch.randn(seeded["shape"], generator=generator).mul_(1.5)
        if tied:  # potentials that meet the threshold exactly
            leaf.mul_(2).round_().div_(2)
        leaf.requires_grad_()
        if call == 2:
            functional.reset_net(node)
        spikes = node(laid_out(leaf, layout))
        leaves.append(leaf)
        results += [spikes, node.v]
        loss = loss + (spikes * torch.randn(seeded["shape"], generator=generator)).sum()
        loss = loss + (node.v * torch.randn(seeded["shape"][1:], generator=generator)).sum()
    loss.backward()
    gradients = [leaf.grad for leaf in (*leaves, *node.parameters())]
    return [r.detach() for r in results], gradients


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    tau=st.sampled_from([1.1, 4 / 3, 2.0, 3.7, 50.0]),
    decay_input=st.booleans(),
    threshold=st.sampled_from([0.5, 1.0, 0.3]),
    reset=st.sampled_from([0.0, None, -0.5, 0.2]),
    detach=st.booleans(),
    shape=st.tuples(st.integers(1, 6), *[st.integers(1, 4)] * 4),
    layout=st.sampled_from(["plain", "channels last", "static", "transposed", "sliced"]),
    carry=st.booleans(),
    tied=st.booleans(),
    scratch=st.sampled_from([1, 64, 2**19]),
    seed=st.integers(0, 2**31),
)
def test_same_spikes_bit_for_bit_and_same_gradients(
    kind, tau, decay_input, threshold, reset, detach, shape, layout, carry, tied, scratch, seed
):
    options = {"v_threshold": threshold, "v_reset": reset, "detach_reset": detach}
    plain, ours = pair(kind, tau=tau, decay_input=decay_input, **options)
    run = {"layout": layout, "carry": carry, "tied": tied}
    seeded = {"seed": seed, "shape": shape}
    values, gradients = outcome(plain, seeded, **run)
    with only_fused(), mock.patch.multiple(blocks, _SCRATCH=scratch, _GRAIN=5):
        our_values, our_gradients = outcome(ours, seeded, **run)
    for mine, theirs in zip(our_values, values, strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(our_gradients, gradients, strict=True):
        close(mine, theirs)


class ClaimedSigmoid(surrogate.Sigmoid):
    """A user's own surrogate, which names its closed form."""

    closed_form = ("sigmoid", "alpha")


NAMES = (
    "Sigmoid", "ATan", "PiecewiseQuadratic", "PiecewiseExp", "SoftSign", "SuperSpike", "Erf",
    "NonzeroSignLogAbs", "PiecewiseLeakyReLU", "SquarewaveFourierSeries", "S2NN", "QPseudoSpike",
    "LeakyKReLU", "FakeNumericalGradient", "LogTailedReLU", "DeterministicPass", "Rect",
)  # fmt: skip
SURROGATES = {name: getattr(surrogate, name) for name in NAMES}
SURROGATES |= {"tanh": TanhSurrogate, "own": ClaimedSigmoid}


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_has_its_own_gradient(name, detach):
    plain, ours = pair(surrogate_function=SURROGATES[name](), detach_reset=detach)
    results = []
    for node, context in ((plain, nullcontext()), (ours, only_fused())):
        x = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1)).mul_(2)
        x.requires_grad_()
        with context:
            spikes = node(x)
        (spikes * torch.linspace(-1, 1, 40)).sum().backward()
        results.append((spikes, x.grad))
    assert torch.equal(results[1][0], results[0][0])
    close(results[1][1], results[0][1])


class OwnLIF(neuron.LIFNode):
    pass


class OwnATan(surrogate.ATan):
    pass


def replaced():
    node = make()
    node.multi_step_forward = lambda x: x
    return node


def with_threshold(value):
    node = make()
    node.v_threshold = value
    return node


def with_w(value):
    node = make("plif")
    node.w = nn.Parameter(value)
    return node


def hooked():
    node = make(surrogate_function=surrogate.Rect())
    node.surrogate_function.register_forward_hook(lambda *_: None)
    return node


LEFT = {
    "no fused form": lambda: neuron.QIFNode(step_mode="m"),
    "FewSpikeNode has no fused form": lambda: neuron.FewSpikeNode(
        neuron.FewSpikeTable([1.0], [1.0], [1.0])
    ),
    "derived from LIFNode": lambda: OwnLIF(step_mode="m"),
    "step mode 's'": lambda: make(step_mode="s"),
    "replaced on the object": replaced,
    "store_v_seq": lambda: make(store_v_seq=True),
    "v_threshold is tensor": lambda: with_threshold(torch.tensor(1.0)),
    "v_threshold is nan": lambda: with_threshold(float("nan")),
    "w is not one": lambda: with_w(torch.zeros(3)),
    "w is not one float32 or": lambda: with_w(torch.zeros((), device="meta")),
    "surrogate OwnATan is not one": lambda: make(surrogate_function=OwnATan()),
    "surrogate PoissonPass is not": lambda: make(surrogate_function=surrogate.PoissonPass()),
    "smooth value": lambda: make(surrogate_function=surrogate.ATan(spiking=False)),
    "not finite numbers": lambda: make(surrogate_function=surrogate.ATan(torch.tensor(2.0))),
    "alpha=-1.0, not above 0": lambda: make(surrogate_function=surrogate.ATan(-1.0)),
    "hooks": hooked,
}


@pytest.mark.parametrize("reason", LEFT)
def test_what_cannot_be_fused_stays_and_says_why(reason):
    node = LEFT[reason]()
    model = nn.Sequential(make("if"), node)
    kind = type(node)
    report = fuse(model)
    assert report.fused == ("0",)
    assert list(report.left) == ["1"]
    assert reason in report.left["1"]
    assert type(node) is kind
    assert str(report) == f"1 of 2 spiking neurons fused; '1' is not: {report.left['1']}"


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(2, C, 3, padding=1, bias=False),
        layer.BatchNorm2d(C),
        make("plif"),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(4 * C, 5),
        make("lif"),
    )
    functional.set_step_mode(model, "m")
    return model


def test_fusing_changes_nothing_else_and_can_be_undone():
    model = net()
    modules, keys = dict(model.named_modules()), model.state_dict()
    parameters = list(model.parameters())
    attributes = {name: dict(vars(module)) for name, module in modules.items()}
    for _ in range(2):  # again is the same
        report = fuse(model)
        assert report.fused == ("2", "6")
        assert report.left == {}
    assert isinstance(model[2], neuron.ParametricLIFNode)
    assert all(m is modules[name] for name, m in model.named_modules())
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    assert list(model.state_dict()) == list(keys)
    assert unfuse(model) == ("2", "6")
    assert unfuse(model) == ()
    assert type(model[2]) is neuron.ParametricLIFNode
    assert {name: vars(module) for name, module in modules.items()} == attributes


def test_copies_stay_fused_and_have_a_state_of_their_own():
    _, node = pair("plif")
    with torch.no_grad():
        node(torch.rand(T, B, C))
    for made in (copy.deepcopy(node), pickle.loads(pickle.dumps(node)), copy.copy(node)):
        assert type(made) is type(node)
        assert made.surrogate_function is not None
    deep = copy.deepcopy(node)
    deep.reset()
    assert deep.v == 0.0
    assert isinstance(node.v, torch.Tensor)
    assert unfuse(deep) == ("",)
    assert unfuse(node) == ("",)


def test_what_is_derived_from_a_fused_class_is_left_alone():
    _, node = pair()

    class Wrapped(type(node)):
        pass

    node.__class__ = Wrapped
    assert "derived from LIFNode" in fuse(node).left[""]
    assert unfuse(node) == ()
    assert node(torch.ones(T, B, C)).shape == (T, B, C)


@pytest.fixture
def no_fallback():
    with only_fused():
        yield


def declined(monkeypatch):
    """Count how often a fused neuron runs SpikingJelly's own forward."""
    calls = mock.Mock()
    original = neuron.LIFNode.multi_step_forward

    def counted(self, *args, **kwargs):
        calls()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(neuron.LIFNode, "multi_step_forward", counted)
    return calls


FALLBACKS = {
    "stored potentials": lambda node: setattr(node, "store_v_seq", True),
    "another surrogate": lambda node: setattr(node, "surrogate_function", OwnATan()),
    "compiling": lambda _: None,
    "a number per step": lambda _: None,
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_a_forward_that_it_does_not_serve_is_that_of_spikingjelly(case, monkeypatch):
    plain, ours = pair()
    x = torch.randn(T) if case == "a number per step" else torch.randn(T, B, C)
    calls = declined(monkeypatch)
    for node in (plain, ours):
        FALLBACKS[case](node)
        with mock.patch.object(torch.compiler, "is_compiling", return_value=case == "compiling"):
            node.result = node(x)
    assert calls.call_count == 2
    assert torch.equal(ours.result, plain.result)
    assert torch.equal(ours.v, plain.v)
    if case == "stored potentials":
        assert torch.equal(ours.v_seq, plain.v_seq)


def test_step_mode_can_be_changed_with_the_state_carried_over():
    plain, ours = pair()
    x = torch.randn(3 * T, B, C)
    for node in (plain, ours):
        functional.set_step_mode(node, "m")
        first = node(x[:T])
        functional.set_step_mode(node, "s")
        second = torch.stack([node(step) for step in x[T : 2 * T]])
        functional.set_step_mode(node, "m")
        node.result = torch.cat([first, second, node(x[2 * T :])])
    assert torch.equal(ours.result, plain.result)
    assert torch.equal(ours.v, plain.v)


def test_a_state_of_another_shape_starts_anew():
    for reset in (0.25, None):
        plain, ours = pair(v_reset=reset)
        for x in (torch.ones(T, B, C), torch.ones(T, B + 1, C)):
            assert torch.equal(ours(x), plain(x))


def test_the_state_can_be_detached_between_calls():
    _, ours = pair()
    x = torch.rand(T, B, C, requires_grad=True)
    ours(x)
    functional.detach_net(ours)
    ours(x.detach().clone().requires_grad_()).sum().backward()
    assert x.grad is None


def test_spikes_may_be_changed_in_place():
    results = []
    for node in pair():
        x = torch.randn(T, B, C, 4, 4, generator=torch.Generator().manual_seed(0))
        x.requires_grad_()
        spikes = node(x.transpose(2, 3))
        spikes += 1
        spikes[0].mul_(2)
        spikes.sum().backward()
        results.append((spikes, x.grad))
    assert torch.equal(results[1][0], results[0][0])
    close(results[1][1], results[0][1])


@pytest.mark.parametrize("train", [True, False])
def test_without_gradients_nothing_is_kept(train, no_fallback):
    kept = []
    node = make("plif").train(train)
    fuse(node)
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda x: x):
        with torch.no_grad():
            spikes = node(torch.rand(T, B, C, requires_grad=True))
        node.requires_grad_(False)
        frozen = node(torch.rand(T, B, C))
    assert kept == []
    assert not spikes.requires_grad
    assert not frozen.requires_grad
    assert not node.v.requires_grad


def test_for_the_backward_only_the_charged_potential_is_kept(no_fallback):
    kept = []
    node, x = make(), torch.rand(T, B, C, requires_grad=True)
    fuse(node)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        node(x)
    assert [t.shape for t in kept] == [x.shape]


def test_second_derivatives_are_refused():
    _, node = pair()
    x = torch.rand(T, B, C, requires_grad=True)
    with pytest.raises(ModelError, match=r"create_graph=True; run unfuse\(model\)"):
        torch.autograd.grad(node(x).sum(), x, create_graph=True)
    unfuse(node)
    node.reset()
    (gradient,) = torch.autograd.grad(node(x).sum(), x, create_graph=True)
    assert gradient.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_the_potential_is_in_float32(kind, no_fallback):
    node = make(kind)
    fuse(node)
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        functional.reset_net(node)
        node.zero_grad()
        x = torch.randn(T, B, C, 5, 5, generator=torch.Generator().manual_seed(0))
        x = x.bfloat16().to(dtype).requires_grad_()
        first = node(x)
        second = node(x)
        (first + second).sum().backward()
        assert first.dtype == x.grad.dtype == dtype
        assert node.v.dtype == torch.float32
        gradients = [x.grad.float(), *(p.grad for p in node.parameters())]
        results.append(([first.float(), second.float(), node.v], gradients))
    for half, full in zip(results[0][0], results[1][0], strict=True):
        assert torch.equal(half, full)
    for half, full in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(half, full, rtol=1e-2, atol=1e-2)


def test_autocast_runs_a_whole_net(no_fallback):
    model = net()
    fuse(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.rand(T, B, 2, 4, 4))
    logits.float().sum().backward()
    assert model[2].v.dtype == torch.float32
    assert model[2].w.grad.isfinite()


def test_float64_is_computed_in_float64(no_fallback):
    node = make()
    fuse(node)
    x = torch.randn(T, B, C, dtype=torch.float64, requires_grad=True)
    assert node(x).dtype == node.v.dtype == torch.float64


def vgg(seed=0, **options):
    torch.manual_seed(seed)
    return zoo.build(
        "vgg-small",
        classes=3,
        in_channels=1,
        image_size=16,
        time_steps=T,
        widths=(4, 4, 6, 6),
        **options,
    )


@pytest.mark.parametrize("preset", [None, "paper-weight"])
def test_a_training_step_of_a_net_of_the_zoo_is_the_same(preset):
    x, y = torch.rand(3, 1, 16, 16), torch.tensor([0, 1, 2])
    ours = vgg(preset=preset)
    assert not fuse(ours).left
    with only_fused():
        results = [step(ours, x, y)]
    results.append(step(vgg(preset=preset), x, y))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1].keys() == results[1][1].keys()
    for name, gradient in results[0][1].items():
        close(gradient, results[1][1][name])


def step(model, x, y):
    logits = forward(model, x, time_steps=T)
    loss_by_name("mean-logits")(logits, y).backward()
    return logits.detach(), {name: p.grad for name, p in model.named_parameters()}


def stats(model, x, *, train, grad):
    model.train(train)
    with torch.set_grad_enabled(grad), Observer(model, time_steps=T, train=train) as observer:
        for _ in range(2):
            forward(model, x, time_steps=T)
    return observer.compute()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_potentials_are_observed_without_a_second_forward(train, grad, monkeypatch):
    x = torch.rand(3, 1, 16, 16)
    expected = stats(vgg(), x, train=train, grad=grad)
    ours = vgg()
    fuse(ours)
    monkeypatch.setattr(fused, "replay", mock.Mock(side_effect=AssertionError))
    observed = stats(ours, x, train=train, grad=grad)
    assert observed.keys() == expected.keys()
    for name, mine in observed.items():
        assert torch.equal(mine.score, expected[name].score)
        assert torch.equal(mine.rate, expected[name].rate)
        assert mine.samples == expected[name].samples
    assert not any(fused._SINKS in vars(m) or m._forward_pre_hooks for m in ours.modules())


@pytest.mark.parametrize("case", ["step mode 's'", "stored potentials"])
def test_potentials_are_observed_where_it_steps_aside(case):
    x = torch.randn(T, B, C, 2, 2)
    seen = []
    for node in pair():
        node.store_v_seq = case == "stored potentials"
        node.step_mode = "s" if case == "step mode 's'" else "m"
        got, adapter = [], adapter_for(node)
        with adapter.observe(node, got.append, lambda: None):
            for part in x if node.step_mode == "s" else (x,):
                node(part)
        seen.append(torch.cat(got))
    assert torch.equal(*seen)


def test_two_may_observe_at_once_and_an_exception_leaves_nothing():
    _, node = pair()
    adapter, x, seen = adapter_for(node), torch.rand(T, B, C), ([], [])

    def refuse(_):
        raise ObservationError("no")

    first = adapter.observe(node, seen[0].append, lambda: None)
    with first:
        with adapter.observe(node, seen[1].append, lambda: None):
            node(x)
        with pytest.raises(ObservationError), adapter.observe(node, refuse, lambda: None):
            node(x)
    assert torch.equal(torch.cat(seen[1]), torch.cat(seen[0])[:T])
    assert not node._forward_pre_hooks
    assert not node._forward_hooks
    assert not {fused._SINKS, "reset"} & vars(node).keys()


def test_observation_keeps_bf16_inputs_apart_from_float32_potentials():
    _, node = pair()
    seen = []
    with adapter_for(node).observe(node, seen.append, lambda: None), torch.no_grad():
        node(torch.rand(T, B, C).bfloat16())
    assert {x.dtype for x in seen} == {torch.float32}
    assert not any(x.requires_grad for x in seen)


def test_scoring_tracing_and_simulation_see_no_difference():
    ours, plain = vgg(), vgg()
    fuse(ours)
    x = torch.rand(2, 1, 16, 16)
    run = {"time_steps": T, "forward": lambda batch: forward(ours, batch, time_steps=T)}
    assert score_loader(ours, [x], **run).keys() == trace(plain, x[:1]).neurons.keys()
    assert trace(ours, x[:1]) == trace(plain, x[:1])
    adapter, drive = adapter_for(ours), torch.linspace(0, 3, C)
    spikes = [adapter.simulate(n, drive, T) for n in pair()]
    assert torch.equal(*spikes)


def test_data_parallel_training_wraps_fused_neurons(tmp_path):
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        plain, ours = net(), net()
        fuse(ours)
        x = torch.rand(T, B, 2, 4, 4)
        plain(x).sum().backward()
        wrapped = nn.parallel.DistributedDataParallel(ours)
        wrapped(x).sum().backward()
        # Before the group, or torch may join the group's thread while it waits for this one.
        del wrapped
    finally:
        dist.destroy_process_group()
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        close(mine.grad, theirs.grad)
