"""Nets that nobody here adapted, the whole way: three added lines, own counting, a cut, a copy."""

import copy
import itertools

import pytest
import torch
from tests.foreign import plain
from tests.foreign.plain import T
from tests.foreign.walk import (
    Net,
    answer_of,
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
from spikeprune.errors import ModelError
from spikeprune.wiring.channel_masks import channel_count
from spikeprune.wiring.cut_plan import apply_plan


def answer(net, x):
    return net(x)["logits"]


SIZES = "because its forward has sizes in its code"
NETS = {
    "loops over [T, B, F]": Net(plain.Sequence, (12,), over_time, cuts=("body.0", "body.2")),
    "one forward, functions for neurons": Net(plain.Stbp, (1, 8, 8), whole=SIZES),
    "one step a call": Net(plain.Stepwise, (1, 8, 8), per_step, cuts=("conv", "conv2")),
    "explicit states": Net(plain.States, (12,), whole=SIZES),
    "answers [B, T, K]": Net(
        plain.ByBatch, (12,), lambda net, x: net(x).transpose(0, 1), whole=SIZES
    ),
    "neurons in a list": Net(plain.Hidden, (12,), over_time, cuts=("layers.0", "layers.1")),
    "one activation for all": Net(plain.Shared, (12,), cuts=("a", "b")),
    "recordings, [B*T, ...]": Net(plain.Joined, (T, 2, 8, 8), cuts=("body.0", "body.4")),
    "recordings, [T*B, ...]": Net(
        lambda: plain.Joined("t"), (T, 2, 8, 8), cuts=("body.0", "body.4")
    ),
    "recurrent": Net(plain.Recurrent, (12,), whole=SIZES),
    "U-Net": Net(plain.UNet, (1, 8, 8), evaluates=False, cuts=("down", "low", "up")),
    "first layer once": Net(plain.Once, (1, 8, 8), cuts=("encode.0", "conv")),
    "threshold per channel": Net(plain.Threshold, (1, 8, 8), whole=SIZES),
    "residual, grouped": Net(
        plain.Residual,
        (1, 8, 8),
        whole="stem, a, b: expected plain or depthwise convolutions, got 'b' with 2 groups",
    ),
    "three-dimensional": Net(plain.Volume, (1, 4, 4, 4), cuts=("conv", "conv2")),
    "attention over tokens": Net(
        plain.Attention,
        (1, 8, 8),
        cuts=("patch", "mlp"),
        whole="q, v; channels of 'q' are mixed on the way to 'mlp'",
    ),
    "words, dict": Net(plain.Words, (T,), answer, layout=answer, words=20, cuts=("fc",)),
    "ternary spikes": Net(plain.Ternary, (12,), mapped=False, cuts=("a", "b")),
    "straight through": Net(plain.StraightThrough, (12,), mapped=False, cuts=("a",)),
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


def test_channels_that_can_be_followed_are_pruned_and_cut_and_the_rest_is_named(net):
    options = {"granularity": "channel", "saliency": "random", "regrow": "none", "sparsity": 0.5}
    if not net.cuts:
        with pytest.raises(ModelError, match=f"^no channel can be cut.*{net.whole}"):
            prunes(net, **options)
        return
    pruner = train(net, prunes(net, **options))
    assert any(net.whole in note for note in pruner.notes) or not net.whole
    masked = answer_of(net, pruner.model)
    result = cut(pruner)
    after = answer_of(net, result.model)
    torch.testing.assert_close(after, masked, atol=1e-5, rtol=1e-5)
    assert tuple(result.before) == net.cuts
    assert sum(result.after.values()) == sum(result.before.values()) // 2
    layers = layers_of(result.model)
    assert all(channel_count(layers[n], "out") == c for n, c in result.after.items())
    assert not any("whole" in note or "no channel" in note for note in result.notes)
    again = apply_plan(net.build(), result.plan)
    again.load_state_dict(result.model.state_dict())
    assert torch.equal(answer_of(net, again), after)
