"""Calls of spike functions: all are seen, with their place, and nothing stays changed."""

import copy

import pytest
import torch
from tests.foreign.plain import Hidden, LoopLIF, SetUp, Shared, States, Stbp, T, Triangle
from torch import nn

from spikeprune.adapters.spike_functions.watch import watching


def calls(model, x):
    seen = []
    with watching(model, seen.append):
        model(x)
    return seen


def test_a_function_whose_apply_was_stored_is_seen_at_every_step():
    model = nn.Sequential(nn.Linear(3, 4), LoopLIF())
    seen = calls(model, torch.rand(5, 2, 3))
    assert [call.function for call in seen] == [Triangle] * 5
    assert {call.place.module for call in seen} == {"1"}
    assert len({call.place for call in seen}) == 1  # one line of code is one place


def test_the_node_is_that_of_the_output_with_and_without_a_context():
    for function, arguments in ((Triangle, ()), (SetUp, (2.0,))):
        seen, outputs = [], []

        class Net(nn.Module):
            def forward(self, x, function=function, arguments=arguments, outputs=outputs):
                outputs.append(function.apply(2 * x, *arguments))
                return outputs[-1]

        with watching(Net(), seen.append) as _:
            pass
        model = Net()
        with watching(model, seen.append):
            model(torch.rand(3, requires_grad=True))
        assert seen[0].node is outputs[0].grad_fn
        assert seen[0].arguments[1:] == arguments


def test_places_in_one_module_differ_by_code():
    places = [call.place for call in calls(Stbp(), torch.rand(2, 1, 8, 8))]
    assert len(places) == 4 * T
    assert len(set(places)) == 4
    assert {place.module for place in places} == {""}


def test_one_activation_object_has_a_place_under_each_neuron():
    places = {call.place.module for call in calls(Shared(), torch.rand(2, 12))}
    assert places == {"first.act", "second.act"}


def test_modules_in_a_list_have_names():
    model = Hidden()
    assert {c.place.module for c in calls(model, torch.rand(T, 2, 12))} == {
        "neurons[0]",
        "neurons[1]",
    }
    again = copy.deepcopy(model)
    names = {call.place for call in calls(again, torch.rand(T, 2, 12))}
    assert names == {call.place for call in calls(model, torch.rand(T, 2, 12))}


def test_an_output_can_be_replaced():
    model = nn.Sequential(nn.Linear(3, 4), LoopLIF())
    with watching(model, lambda call: torch.full_like(call.output, 7.0)):
        assert torch.equal(model(torch.rand(5, 2, 3)), torch.full((5, 2, 4), 7.0))


def test_calls_outside_of_the_model_are_left_out():
    seen = []
    with watching(States(), seen.append):
        Triangle.apply(torch.rand(3))
        States()(torch.rand(2, 12))
    assert seen == []


def test_everything_is_put_back_also_after_an_exception():
    before = {kind: dict(vars(kind)) for kind in (Triangle, SetUp)}

    def explode(call):
        raise RuntimeError("seen")

    with pytest.raises(RuntimeError, match="seen"), watching(model := States(), explode):
        model(torch.rand(2, 12))
    assert {kind: dict(vars(kind)) for kind in before} == before


@pytest.mark.parametrize("first_ends", [0, 1])
def test_two_watch_at_once_and_end_in_any_order(first_ends):
    model, x = States(), torch.rand(2, 12)
    alone = [call.place for call in calls(model, x)]
    before = Triangle.forward, SetUp.forward, SetUp.setup_context
    seen = [], []
    watchers = [watching(model, part.append) for part in seen]
    for watcher in watchers:
        watcher.__enter__()
    model(x)
    assert [call.place for call in seen[0]] == [call.place for call in seen[1]] == alone
    watchers[first_ends].__exit__(None, None, None)
    model(x)
    assert len(seen[first_ends]) == len(alone)
    assert len(seen[1 - first_ends]) == 2 * len(alone)
    watchers[1 - first_ends].__exit__(None, None, None)
    assert (Triangle.forward, SetUp.forward, SetUp.setup_context) == before
