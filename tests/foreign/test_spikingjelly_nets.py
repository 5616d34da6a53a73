"""Nets in the style of research code on SpikingJelly the whole way."""

import pytest
import torch
from tests.foreign.spikingjelly_nets import NETS
from tests.foreign.walk import answer_of, counted, layers_of, prunes, train, walk

TOKENS = ("Spikformer block", "QK attention", "spike-driven attention")
MIXED = {*TOKENS, "multi-head attention of torch"}  # channels cannot be cut


@pytest.mark.parametrize("name", NETS, ids=[name.replace(" ", "-") for name in NETS])
def test_the_whole_way(name):
    torch.manual_seed(0)
    row = walk(NETS[name], size=4)
    assert row.alive
    expected = (True, True, NETS[name].evaluates, True)
    assert (row.exact, row.cut_equal, row.evaluated, row.loaded) == expected
    assert min(row.adapted, row.mapped) > 0 == row.found
    assert (row.channels == "cut") == (name not in MIXED)


@pytest.mark.parametrize("name", TOKENS)
def test_layers_on_tokens_are_named_as_pruned_by_saliency_alone(name):
    pruner = prunes(NETS[name])
    linear = [n for n, m in layers_of(pruner.model).items() if n.endswith("linear")]
    (note,) = [n for n in pruner.notes if "they run on tokens" in n]
    assert all(name in note for name in linear)
    assert not any(pruner.wiring.layers[name].feeds for name in linear)


def test_dropout_ahead_of_layers_under_a_budget_of_synops():
    torch.manual_seed(0)
    net = NETS["dropout"]
    dense = counted_synops(net, net.build())
    torch.manual_seed(0)
    pruner = prunes(net, budget="synops", allocation="global")
    train(net, pruner)
    assert pruner.notes == ()
    assert 0 < counted_synops(net, pruner.model) < 0.2 * dense


def counted_synops(net, model):
    return sum(counted(model, lambda: answer_of(net, model)).values())
