import torch
from torch import nn

from spikeprune.wiring.recording import OtherWay, Recording, Repeat


def called(layer, x):
    recording = Recording(frozenset())
    recording.module("fc", layer, (x,), {}, layer(x))
    return recording.finished()


def test_what_a_module_read_and_gave_is_noted():
    layer, x = nn.Linear(2, 3), torch.randn(4, 2, requires_grad=True)
    (visit,) = called(layer, x)["fc"]
    assert torch.equal(visit.x, x)
    assert torch.equal(visit.out, layer(x))
    assert visit.after.name().startswith("AddmmBackward")


def test_neurons_give_bits_that_are_drawn_and_keep_the_graph():
    recording = Recording(frozenset({"lif"}))
    u = torch.randn(64, requires_grad=True)
    given = recording.module("lif", nn.Identity(), (u,), {}, (u > 0).float())
    assert set(given.tolist()) == {0.0, 1.0}
    assert given.grad_fn is not None
    assert not recording.analog


def test_a_neuron_of_other_values_is_analog():
    recording = Recording(frozenset({"readout"}))
    u = torch.randn(4)
    recording.module("readout", nn.Identity(), (u,), {}, u)
    assert recording.analog == {"readout"}


def test_a_repeated_run_of_another_shape_or_more_calls_takes_another_way():
    layer, x = nn.Linear(2, 3), torch.randn(4, 2)
    visits = called(layer, x)

    def same(key, visit, x):
        return visit.out

    repeat = Repeat(visits)
    assert torch.equal(repeat.module("fc", same, x), layer(x))
    for again in (x, torch.randn(5, 2)):
        try:
            repeat.module("fc", same, again)
        except OtherWay:
            continue
        raise AssertionError("it was not noticed")
