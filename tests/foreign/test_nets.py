"""Nets that nobody here adapted, the whole way: three added lines, own counting, a cut, a copy."""

import copy
import functools
import itertools

import pytest
import torch
from tests.foreign.nets import NETS, PLAIN
from tests.foreign.walk import (
    answer_of,
    batch_of,
    channels_of,
    layers_of,
    pruner_of,
    trained,
    walked,
)

from spikeprune import cut
from spikeprune.adapters.rest import reset
from spikeprune.errors import ModelError
from spikeprune.wiring.channel_masks import channel_count
from spikeprune.wiring.cut_plan import apply_plan
from spikeprune.wiring.trace import trace

TAKEN = [name for name, net in NETS.items() if not net.refused]
SLOW = {"FashionMNISTNet", "NMNISTNet", "SpikingResNet, bottleneck", "SEWResNet, AND"}  # as others
walk_of = functools.cache(lambda name: walked(NETS[name]))


def nets(names):
    return pytest.mark.parametrize("name", names, ids=[name.replace(" ", "-") for name in names])


@nets(TAKEN)
def test_three_lines_prune_it_to_the_density_asked_for(name):
    net, walk = NETS[name], walk_of(name)
    assert walk.live == round(0.1 * walk.prunable)
    assert bool(walk.mapped) == net.mapped
    assert all(layer in " ".join(walk.notes) for layer in walk.dense)
    if not net.mapped:
        assert "by saliency alone" in walk.notes[0]
    elif not walk.dense:
        assert walk.regrow == "criticality"
        assert walk.regrown > 0
        assert walk.scored


@nets(TAKEN)
def test_a_cut_changes_nothing_on_the_data_of_its_owner_and_goes_through_files(name):
    walk = walk_of(name)
    assert walk.cut_difference <= 1e-5
    assert walk.loaded


@nets([name for name in TAKEN if NETS[name].evaluates])
def test_it_is_counted_as_by_hand(name):
    net, walk = NETS[name], walk_of(name)
    recordings = net.shape[:1] == (net.steps,) and not net.words
    assert walk.synops == walk.by_hand
    assert walk.accuracy[0] == walk.accuracy[1]
    assert recordings or walk.macs >= sum(walk.synops.values()) / 6
    assert (walk.firing_rate > 0) == (walk.found_by != "none")


@nets([name for name in TAKEN if name not in SLOW])
def test_its_channels_are_cut_or_refused_at_construction(name):
    found = channels_of(NETS[name])
    assert found.startswith(("cut", "masked", "refused"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@nets([name for name, net in NETS.items() if net.refused])
def test_what_cannot_be_pruned_is_refused_at_construction(name):
    with pytest.raises(ModelError, match=NETS[name].refused):
        pruner_of(NETS[name], sparsity=0.9)


def test_a_part_that_is_compiled_is_named():
    model = NETS["stochastic depth"].build()
    model.block._compiled_call_impl = model.block._call_impl  # as model.block.compile() sets it
    with pytest.raises(ModelError, match=r"^block is compiled by torch\.compile"):
        trace(model, torch.rand(2, 1, 8, 8), time_steps=4)


@nets(["dropout", "MNISTNet", "DVSGestureNet"])
def test_dropout_ahead_of_a_layer_is_no_fault_under_a_budget_of_synops(name):
    torch.manual_seed(0)
    net = NETS[name]
    pruner = trained(net, sparsity=0.5, budget="synops")
    used = pruner.events[-1].budget
    assert used.unit == "synops"
    assert 0 < used.cost <= used.allowed


@nets([name for name in PLAIN if PLAIN[name].mapped])
def test_operands_are_spikes_where_spikes_are_read(name):
    net = PLAIN[name]
    pruner = pruner_of(net, sparsity=0.5)
    model = pruner.model
    pruner.close()
    read = dict.fromkeys(layers_of(model), True)
    for name, module in layers_of(model).items():

        def hook(module, args, output, name=name):
            read[name] &= bool(((args[0] == 0) | (args[0] == 1)).all())

        module.register_forward_hook(hook)
    model.eval()
    for seed in range(3):
        reset(model)
        net.call(model, batch_of(net, seed=seed)[0])
    said = {name: layer.binary for name, layer in pruner.wiring.layers.items()}
    assert all(read[name] for name, binary in said.items() if binary)
    assert any(said.values())


@nets(PLAIN)
def test_a_copy_and_the_state_go_through_files(name, tmp_path):
    net = PLAIN[name]
    pruner = trained(net)
    reset(pruner.model)  # a state under way has a graph behind it, which no copy can take
    torch.save(pruner.model.state_dict(), tmp_path / "net.pt")
    again = net.build()
    again.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    x, _ = batch_of(net, seed=3)
    with torch.no_grad():
        outputs = []
        for model in (pruner.model.eval(), again.eval(), copy.deepcopy(pruner.model).eval()):
            reset(model)
            outputs.append(net.call(model, x))
    assert all(torch.equal(a, b) for a, b in itertools.pairwise(outputs))


@nets(PLAIN)
def test_channels_that_can_be_followed_are_pruned_and_cut_and_the_rest_is_named(name):
    net = PLAIN[name]
    options = {"granularity": "channel", "saliency": "random", "regrow": "none", "sparsity": 0.5}
    if not net.cuts:
        with pytest.raises(ModelError, match=f"^no channel can be cut.*{net.whole}"):
            pruner_of(net, **options)
        return
    pruner = trained(net, **options)
    assert any(net.whole in note for note in pruner.notes) or not net.whole
    x, _ = batch_of(net, seed=1)
    masked = answer_of(net, pruner.model, x)
    result = cut(pruner)
    after = answer_of(net, result.model, x)
    torch.testing.assert_close(after, masked, atol=1e-5, rtol=1e-5)
    assert tuple(result.before) == net.cuts
    assert sum(result.after.values()) == sum(result.before.values()) // 2
    layers = layers_of(result.model)
    assert all(channel_count(layers[n], "out") == c for n, c in result.after.items())
    assert not any("whole" in note or "no channel" in note for note in result.notes)
    again = apply_plan(net.build(), result.plan)
    again.load_state_dict(result.model.state_dict())
    assert torch.equal(answer_of(net, again, x), after)
