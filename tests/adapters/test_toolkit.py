"""Parts of adapters: what a recorder accepts, and what hooks and shadows leave behind."""

import copy

import pytest
import torch
from torch import nn

from spikeprune.adapters.toolkit import (
    FollowedBy,
    PassThrough,
    Recorder,
    before_forward,
    first_input,
    self_recording,
    shadowed,
)
from spikeprune.errors import ObservationError
from spikeprune.neurons.sinks import TimeFold

T, B, C = 3, 2, 4
ALL = torch.arange(float(T * B * C)).view(T, B, C)


@pytest.mark.parametrize(
    "pieces",
    [
        [ALL],
        [ALL[0], ALL[1], ALL[2]],
        [ALL[:1], ALL[1:]],
        [ALL.flatten(1)],
        [ALL[0].flatten(), ALL[1].flatten(), ALL[2].flatten()],
    ],
    ids=["all steps", "each step", "some steps", "flat over all steps", "each step flat"],
)
def test_potentials_are_brought_into_the_shape_of_the_input(pieces):
    seen = []
    recorder = Recorder("Kind", seen.append)
    recorder.begin((T, B, C))
    for piece in pieces:
        recorder(piece.clone().requires_grad_())
    recorder.end()
    assert torch.equal(torch.cat(seen), ALL)
    assert all(u.shape[1:] == (B, C) and not u.requires_grad for u in seen)


@pytest.mark.parametrize("shape", [(B, 1), (C, B), (B, C, 1), (B * C + 1,), (T + 1, B * C), ()])
def test_potentials_of_another_shape_are_refused(shape):
    recorder = Recorder("Kind", [].append)
    recorder.begin((T, B, C))
    with pytest.raises(ObservationError, match=r"Kind to compare potentials of shape \(2, 4\)"):
        recorder(torch.zeros(shape))


def test_potentials_outside_of_a_forward_and_of_single_axes_are_refused():
    recorder = Recorder("Kind", [].append)
    with pytest.raises(ObservationError, match=r"of shape \(\)"):
        recorder(torch.zeros(0))
    recorder.begin((T, B))
    with pytest.raises(ObservationError, match=r"of shape \(2,\)"):
        recorder(torch.zeros(B))


@pytest.mark.parametrize("times", [0, 2])
def test_a_step_that_comes_never_or_twice_is_refused(times):
    recorder = Recorder("Kind", [].append)
    recorder.begin((1, B, C))
    for _ in range(times):
        recorder(torch.zeros(B, C))
    with pytest.raises(ObservationError, match=f"each of 1 time steps, got {times} times"):
        recorder.end()


class Folding:
    """Takes sums over time of forwards of T steps."""

    def __init__(self):
        self.taken = []

    def __call__(self, potentials):
        self.taken.append(potentials)

    def fold(self, steps):
        return TimeFold(torch.square, "mean", lambda *sums: self.taken.append(sums))


def test_a_fold_counts_all_steps_and_comes_in_the_shape_of_the_input():
    sink = Folding()
    recorder = Recorder("Kind", sink)
    recorder.begin((T, B, C))
    assert recorder.fold(T - 1) is None
    fold = recorder.fold(T)
    assert (fold.curve, fold.time) == (torch.square, "mean")
    fold.take(torch.ones(B * C), torch.zeros(B * C))
    recorder.end()
    ((total, fired),) = sink.taken
    assert torch.equal(total, torch.ones(B, C))
    assert torch.equal(fired, torch.zeros(B, C))
    assert Recorder("Kind", [].append).fold(T) is None


def fail():
    raise RuntimeError("stop")


def test_an_action_precedes_the_forwards_of_one_module_alone():
    module, calls = nn.Identity(), []
    with before_forward(module, lambda args, kwargs: calls.append((args, kwargs))):
        module(1)
        module(input=2)
        copied = copy.deepcopy(module)
        copied(3)
    module(4)
    assert calls == [((1,), {}), ((), {"input": 2})]
    with pytest.raises(RuntimeError, match="stop"), before_forward(module, fail):
        fail()
    assert not module._forward_pre_hooks


def test_the_first_input_comes_by_position_or_by_name():
    one, two, three = (torch.tensor(value) for value in (1, 2, 3))
    assert first_input((one, two), {"x": three}) is one
    assert first_input((), {"x": three, "y": one}) is three
    assert first_input((None, two), {}) is two


class Observing(nn.Module):
    """Reports its input as its potentials."""

    def forward(self, x):
        self.sink(x)
        return x

    def observe_potential(self, sink):
        return shadowed(self, "sink", sink)


def test_a_neuron_that_observes_itself_is_checked():
    module, seen = Observing(), []
    with self_recording(module, seen.append, lambda x: x.shape):
        module(ALL)
    assert torch.equal(seen[0], ALL)
    wrong = self_recording(module, seen.append, lambda x: (T + 1, *x.shape[1:]))
    with pytest.raises(ObservationError, match="each of 4 time steps, got 3 times"), wrong:
        module(ALL)
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


def test_a_pass_through_is_a_copy_with_a_node_of_its_own():
    x = torch.randn(3, requires_grad=True)
    y = PassThrough.apply(x * 1)
    y += 1
    y.sum().backward()
    assert torch.equal(y, x + 1)
    assert torch.equal(x.grad, torch.ones(3))


class Resetting(nn.Module):
    def __init__(self):
        super().__init__()
        self.resets = 0

    def reset(self):
        self.resets += 1


def test_a_method_is_followed_by_a_callback_but_not_on_a_copy():
    module, calls = Resetting(), []
    with shadowed(module, "reset", FollowedBy(module, "reset", lambda: calls.append(1))):
        module.reset()
        copied = copy.deepcopy(module)
        copied.reset()
    assert (module.resets, copied.resets, calls) == (1, 2, [1])
    assert "reset" not in vars(module)


@pytest.mark.parametrize("before", [{}, {"forward": abs}])
def test_a_shadow_is_gone_after_an_exception(before):
    module = nn.Identity()
    vars(module).update(before)
    with shadowed(module, "forward", len):
        assert module.forward is len
    assert vars(module).get("forward") is before.get("forward")
    with pytest.raises(RuntimeError, match="stop"), shadowed(module, "forward", len):
        fail()
    assert vars(module).get("forward") is before.get("forward")
