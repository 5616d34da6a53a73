"""A cut is proved against the masked net; what fails is found alone, before any training."""

import math

import pytest
import torch
from tests.foreign.plain import T, Threshold, fire
from torch import nn

from spikeprune.adapters.rest import reset
from spikeprune.errors import ModelError
from spikeprune.wiring.channels import find_channels
from spikeprune.wiring.cut_plan import plan_for
from spikeprune.wiring.cut_proof import copied, exact_groups, owners_run, prove, try_on_copy
from spikeprune.wiring.tied_channels import ChannelGroup
from spikeprune.wiring.trace import trace


def groups(*names):
    return tuple(ChannelGroup(name, 2, ()) for name in names)


def refusing(*bad, together=False):
    """Return an attempt that refuses groups, and the names of the groups of every attempt."""
    tried = []

    def attempt(some):
        tried.append([group.name for group in some])
        if any(group.name in bad for group in some) or (together and len(some) > 1):
            raise ModelError(f"no {tried[-1]}")

    return attempt, tried


def test_groups_that_can_be_cut_together_are_tried_once():
    attempt, tried = refusing()
    some = groups("a", "b")
    assert exact_groups(some, attempt) == (some, {})
    assert tried == [["a", "b"]]


def test_a_group_that_cannot_be_cut_is_found_alone():
    attempt, tried = refusing("b")
    some = groups("a", "b", "c")
    sound, _ = exact_groups(some, attempt)
    assert [group.name for group in sound] == ["a", "c"]
    assert tried == [["a", "b", "c"], ["a"], ["b"], ["c"], ["a", "c"]]


def test_groups_that_can_only_be_cut_alone_are_left_whole():
    attempt, _ = refusing(together=True)
    assert exact_groups(groups("a", "b"), attempt)[0] == ()


class Sized(nn.Module):
    """Two blocks; a size in the code of the forward between them."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 1), nn.Linear(6, 3)

    def forward(self, x):
        total = 0
        for _ in range(T):
            s = fire(self.a(x) - 0.1).view(-1, 4, 8, 8)
            total = total + self.c(fire(self.b(s) - 0.1).mean((2, 3)))
        return total


def tried(model, example):
    wiring = trace(model, example, time_steps=T)
    found = find_channels(model, example, wiring, time_steps=T)
    run = owners_run(model, example, time_steps=T, layout=wiring.layout)
    return exact_groups(found.groups, lambda some: try_on_copy(model, some, run))


def test_a_size_in_the_code_of_the_forward_is_found_before_training():
    torch.manual_seed(0)
    model = Sized()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sound, whole = tried(model, torch.rand(2, 1, 8, 8))
    assert [group.name for group in sound] == ["b"]
    assert set(whole) == {"a"}
    assert "sizes in its code" in whole["a"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    sound, whole = tried(Threshold(), torch.rand(2, 1, 8, 8))
    assert sound == ()
    assert "sizes in its code" in whole["conv"]


class Normed(Sized):
    """A mean over channels outside of any layer."""

    def forward(self, x):
        s = fire(self.a(x) - 0.1)
        return self.c(fire(self.b(s / (1 + s.mean(1, keepdim=True))) - 0.1).mean((2, 3)))


def test_a_cut_that_changes_the_output_is_refused_with_the_difference():
    torch.manual_seed(0)
    model, x = Normed().eval(), torch.rand(4, 1, 8, 8)
    wiring = trace(model, x, time_steps=1)
    found = find_channels(model, x, wiring, time_steps=1)
    assert "a" in found.whole
    assert [group.name for group in found.groups] == ["b"]
    live = {"b": torch.arange(6) > 2}  # live channels: not masked before the cut

    def run(net):
        reset(net)
        return net(x).flatten().double()

    model.c.weight.data.fill_(1.0)
    model.b.bias.data.fill_(1.0)
    with torch.no_grad(), pytest.raises(ModelError, match=r"differ from the masked net's by"):
        prove(model, plan_for(found.groups, live), run)
    assert len(model.b.weight) == 6


def test_a_copy_has_no_graph_behind_its_states():
    model = nn.Linear(2, 2)
    model.mem = model(torch.ones(1, 2))
    again = copied(model)
    assert torch.equal(again.mem, model.mem)
    assert not again.mem.requires_grad


def test_a_run_is_the_same_for_the_same_net():
    model, example = Threshold().eval(), torch.rand(2, 1, 8, 8)
    run = owners_run(model, example, time_steps=T, layout="batch")
    first = run(model)
    assert first.dtype == torch.float64
    assert first.isfinite().all()
    assert math.isclose(float((run(model) - first).abs().max()), 0.0)
