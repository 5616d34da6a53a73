"""Nets that nobody here adapted, the whole way: three added lines, own counting, a cut, a copy."""

import copy
import itertools

import pytest
import torch
from tests.foreign import plain
from tests.foreign.plain import T
from tests.foreign.walk import (
    Net,
    batch_of,
    counted,
    layers_of,
    over_time,
    per_step,
    prunes,
    train,
)

from spikeprune import cut, evaluate
from spikeprune.adapters.rest import reset


def answer(net, x):
    return net(x)["logits"]


NETS = {
    "loops over [T, B, F]": Net(plain.Sequence, (12,), over_time),
    "one forward, functions for neurons": Net(plain.Stbp, (1, 8, 8)),
    "one step a call": Net(plain.Stepwise, (1, 8, 8), per_step),
    "explicit states": Net(plain.States, (12,)),
    "answers [B, T, K]": Net(plain.ByBatch, (12,), lambda net, x: net(x).transpose(0, 1)),
    "neurons in a list": Net(plain.Hidden, (12,), over_time),
    "one activation for all": Net(plain.Shared, (12,)),
    "recordings, [B*T, ...]": Net(plain.Joined, (T, 2, 8, 8)),
    "recordings, [T*B, ...]": Net(lambda: plain.Joined("t"), (T, 2, 8, 8)),
    "recurrent": Net(plain.Recurrent, (12,)),
    "U-Net": Net(plain.UNet, (1, 8, 8), evaluates=False),
    "first layer once": Net(plain.Once, (1, 8, 8)),
    "threshold per channel": Net(plain.Threshold, (1, 8, 8)),
    "residual, grouped": Net(plain.Residual, (1, 8, 8)),
    "three-dimensional": Net(plain.Volume, (1, 4, 4, 4)),
    "attention over tokens": Net(plain.Attention, (1, 8, 8)),
    "words, dict": Net(plain.Words, (T,), answer, layout=answer, words=20),
    "ternary spikes": Net(plain.Ternary, (12,), mapped=False),
    "straight through": Net(plain.StraightThrough, (12,), mapped=False),
}


@pytest.fixture(params=NETS, ids=[name.replace(" ", "-") for name in NETS])
def net(request):
    torch.manual_seed(0)
    return NETS[request.param]


def trained(net):
    return train(net, prunes(net))


def test_three_lines_prune_it_to_the_density_asked_for(net):
    pruner = trained(net)
    weights = [m.weight for n, m in layers_of(pruner.model).items() if n in pruner.wiring.prunable]
    live = sum(int(w.count_nonzero()) for w in weights)
    assert live == round(0.1 * sum(w.numel() for w in weights))
    assert pruner.wiring.mapped == net.mapped
    assert len(weights) == len(layers_of(pruner.model))
    if net.mapped:
        assert pruner.options.regrow == "criticality"
        assert sum(event.regrown for event in pruner.events) > 0
        assert any(scores.any() for scores in pruner.last_scores.values())
    else:
        assert pruner.options.regrow == "none"
        assert "by saliency alone" in pruner.notes[0]


def test_a_cut_changes_nothing_on_the_data_of_its_owner(net):
    pruner = trained(net)
    model, (x, _) = pruner.model.eval(), batch_of(net, seed=1)
    with torch.no_grad():
        reset(model)
        before = net.call(model, x)
        result = cut(pruner)
        reset(model)
        torch.testing.assert_close(net.call(result.model, x), before, atol=1e-5, rtol=1e-5)


def test_it_is_counted_as_by_hand(net):
    if not net.evaluates:
        pytest.skip("it answers no classes")
    pruner = trained(net)
    model, (x, y) = pruner.model, batch_of(net, size=6, seed=2)
    recordings = net.shape[:1] == (T,) and not net.words
    found = evaluate(
        model, [(x, y)], time_steps=T, wiring=pruner.wiring, mask=pruner.mask, latency=False
    )
    model.eval()
    with torch.no_grad():
        reset(model)
        output = net.call(model, x)
        by_hand = counted(model, lambda: (reset(model), net.call(model, x)))
    logits = output if output.ndim == 2 else output.mean(0)
    assert found.test_accuracy == (logits.argmax(1) == y).double().mean().item()
    assert {row.name: round(row.synops * 6) for row in found.layers} == by_hand
    assert recordings or found.dense_macs_per_sample >= found.synops_per_sample
    assert (found.firing_rate > 0) == net.mapped


def test_operands_are_spikes_where_spikes_are_read(net):
    if not net.mapped:
        pytest.skip("no neuron is found")
    pruner = prunes(net)
    pruner.close()
    model = pruner.model
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


def test_a_copy_and_the_state_go_through_files(net, tmp_path):
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
