import json
from dataclasses import replace

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import ConfigError, DataError, ModelError, RunError
from spikeprune.execution.forward import forward
from spikeprune.measuring.evaluate import evaluate
from spikeprune.science.cost import energy_nj
from spikeprune.science.masks import apply_
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.cut_plan import apply_plan, plan_for
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

T, K = 3, 4
KEYS = {
    "test_accuracy", "validation_accuracy", "per_class_accuracy", "parameters",
    "nonzero_parameters", "density", "dense_macs_per_sample", "effective_macs_per_sample",
    "effective_acs_per_sample", "synops_per_sample", "energy_nj_per_sample", "firing_rate",
    "latency_ms", "latency_threads", "first_layer_macs_per_sample", "layers", "silent_neurons",
    "validation_synops_per_sample",
}  # fmt: skip
ROW_KEYS = {
    "name", "shape", "density", "firing_rate", "synops", "operand", "value_weighted_acs",
    "dead_channels", "silent_neurons",
}  # fmt: skip


def by_hand():
    """Two inputs, two neurons, three classes; class 2 can never win."""
    model = nn.Sequential(
        layer.Linear(2, 2, bias=False),
        neuron.IFNode(v_threshold=1.0),
        layer.Linear(2, 3, bias=False),
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.5]]))
        model[2].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    return model


HAND_X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
HAND_Y = torch.tensor([0, 1, 1])


def hand_metrics(model=None, batches=None, **options):
    model = by_hand() if model is None else model
    batches = [(HAND_X[:2], HAND_Y[:2]), (HAND_X[2:], HAND_Y[2:])] if batches is None else batches
    given = {"time_steps": T, "layout": "step", "classes": 3, "latency": False, **options}
    wiring = given.pop("wiring", None) or trace(by_hand(), HAND_X[:1])
    return evaluate(model, batches, wiring=wiring, **given)


@pytest.mark.parametrize(
    ("values", "operand"), [((0, 1), "spikes"), ((-1, 1), "spikes"), ((0, 2), "analog")]
)
def test_what_the_input_is_decides_whether_its_layer_multiplies(values, operand):
    x = torch.tensor(values, dtype=torch.float32)[HAND_X.long()]
    metrics = hand_metrics(batches=[(HAND_X[:1], HAND_Y[:1]), (x, HAND_Y)])
    assert metrics.layers[0].operand == operand
    assert metrics.effective_macs_per_sample == (
        metrics.layers[0].synops if operand == "analog" else 0
    )
    assert metrics.layers[1].operand == "spikes"
    always = hand_metrics(batches=[(x, HAND_Y)], input_operands="analog")
    assert [row.operand for row in always.layers] == ["analog", "spikes"]
    with pytest.raises(ConfigError, match=r"unknown input_operands 'graph'.*analog, by-value"):
        hand_metrics(input_operands="graph")


def test_every_number_by_hand():
    metrics = hand_metrics(input_operands="analog")
    # Neuron 0 fires in all 3 steps for samples 0 and 2; neuron 1 in step 2 of sample 1.
    assert metrics.test_accuracy == pytest.approx(2 / 3)
    assert metrics.per_class_accuracy == (1.0, 0.5, None)
    assert (metrics.parameters, metrics.nonzero_parameters) == (10, 4)
    assert metrics.density == pytest.approx(4 / 10)
    assert metrics.dense_macs_per_sample == T * (4 + 6)
    assert metrics.effective_macs_per_sample == pytest.approx(T * 1)
    assert metrics.effective_acs_per_sample == pytest.approx((3 + 1 + 3) / 3)
    assert metrics.synops_per_sample == pytest.approx(3 + 7 / 3)
    assert metrics.energy_nj_per_sample == pytest.approx(energy_nj(3, 7 / 3))
    assert metrics.firing_rate == pytest.approx(7 / (3 * 2 * T))
    assert metrics.first_layer_macs_per_sample == {"static": 1.0, "every_step": 3.0}
    assert metrics.latency_ms is None
    first, last = metrics.layers
    assert (first.name, first.shape, first.operand, first.synops) == ("0", (2, 2), "analog", 3.0)
    assert first.firing_rate == metrics.firing_rate
    assert (last.operand, last.firing_rate, last.dead_channels) == ("spikes", None, 1)
    assert last.density == pytest.approx(2 / 6)
    assert (first.value_weighted_acs, last.value_weighted_acs) == (None, None)


def test_every_sample_counts_whatever_the_batches():
    whole = hand_metrics(batches=[(HAND_X, HAND_Y)])
    assert whole == hand_metrics()
    one_by_one = [(HAND_X[i : i + 1], HAND_Y[i : i + 1]) for i in range(len(HAND_X))]
    assert whole == hand_metrics(batches=one_by_one)


def test_density_of_the_original_net():
    assert hand_metrics(prunable=40).density == pytest.approx(4 / 40)
    cut = hand_metrics(prunable={"0": 8, "2": 12})
    assert cut.density == pytest.approx(4 / 20)
    assert [row.density for row in cut.layers] == pytest.approx([2 / 8, 2 / 12])
    spared = hand_metrics(prunable={"0": 4})  # the classifier is not prunable
    assert spared.density == pytest.approx(2 / 4)
    assert [row.density for row in spared.layers] == pytest.approx([2 / 4, 2 / 6])
    for few in (3, 0, {"0": 1}):
        with pytest.raises(ModelError, match="expected `prunable` weights of the original net"):
            hand_metrics(prunable=few)


def test_live_is_what_the_mask_says():
    weight = by_hand()[0].weight
    mask = {"0.weight": weight != 0}
    mask["0.weight"][0, 1] = True  # regrown at 0, not yet trained
    assert hand_metrics(mask=mask).density == pytest.approx(5 / 10)
    mask["0.weight"][0, 0] = False
    with pytest.raises(ModelError, match=r"'0\.weight' to be 0 where its mask is, but 1 weights"):
        hand_metrics(mask=mask)
    with pytest.raises(ModelError, match="a cut net needs no mask"):
        hand_metrics(mask={"0.weight": torch.ones(3, 2, dtype=torch.bool)})


def vgg(**arguments):
    torch.manual_seed(0)
    model = zoo.build(
        "vgg-small", classes=K, in_channels=1, image_size=8, time_steps=T, widths=(4, 6),
        strides=(2, 1), **arguments,
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 0.6)
    return model


def batches(events=False, count=2):
    generator = torch.Generator().manual_seed(4)
    shape = (T, 3, 1, 8, 8) if events else (3, 1, 8, 8)
    labels = lambda: torch.randint(0, K, (3,), generator=generator)  # noqa: E731
    return [(torch.randn(shape, generator=generator), labels()) for _ in range(count)]


def run(model, data=None, **options):
    wiring = trace(model, torch.zeros(1, 1, 8, 8))
    given = {"time_steps": T, "classes": K, "latency": False, **options}
    return evaluate(model, batches() if data is None else data, wiring=wiring, **given)


@pytest.mark.parametrize("events", [False, True])
def test_wiring_and_classes_are_found_in_the_first_batch(events):
    model, data = vgg().double(), batches(events)
    empty = (data[0][0][..., :0, :, :, :], torch.zeros(0, dtype=torch.long))
    found = evaluate(model, iter([empty, *data]), time_steps=T, latency=False)
    assert found == run(model, data)
    model.train()
    assert evaluate(model, data, time_steps=T, latency=False) == found
    assert model.training


def test_classes_may_be_given_without_a_wiring():
    found = evaluate(vgg(), batches(), time_steps=T, classes=K, latency=False)
    assert found == run(vgg())
    with pytest.raises(ModelError, match=f"logits of 7 classes, got {K}"):
        evaluate(vgg(), batches(), time_steps=T, classes=7, latency=False)


def test_labels_beyond_the_outputs_are_refused():
    data = [(torch.randn(2, 1, 8, 8), torch.tensor([0, K]))]
    with pytest.raises(DataError, match=f"from 0 to {K - 1} .* as the model has {K} outputs"):
        evaluate(vgg(), data, time_steps=T, latency=False)


def test_the_dictionary_is_what_metrics_json_holds():
    metrics = replace(run(vgg(), latency=True), validation_accuracy=0.5)
    found = metrics.to_dict()
    assert set(found) - {"warnings"} == KEYS  # the net has learnt nothing
    assert all(set(row) == ROW_KEYS for row in found["layers"])
    assert json.loads(json.dumps(found)) == found
    assert found["layers"][0]["shape"] == [4, 1, 3, 3]
    assert set(found["latency_ms"]) == {"b1", "b32"}
    assert all(value > 0 for value in found["latency_ms"].values())
    assert found["latency_threads"] == torch.get_num_threads()
    assert found["firing_rate"] > 0


def test_the_first_layer_both_ways():
    hoisted = vgg()
    hoist(hoisted)
    once, every, events = run(hoisted), run(vgg()), run(hoisted, batches(events=True))
    first = once.first_layer_macs_per_sample
    assert first == every.first_layer_macs_per_sample
    assert once.layers[0].synops == first["static"]
    assert every.layers[0].synops == first["every_step"]
    assert first["every_step"] == T * first["static"]
    assert once.effective_acs_per_sample == every.effective_acs_per_sample
    assert every.dense_macs_per_sample - once.dense_macs_per_sample == (T - 1) * 4 * 9 * 16
    assert events.first_layer_macs_per_sample["static"] is None
    assert events.first_layer_macs_per_sample["every_step"] == first["every_step"]


def test_average_pools_make_analog_operands():
    classifier = run(vgg()).layers[-1]
    assert (classifier.name, classifier.operand) == ("head.classifier", "analog")
    assert 0 < classifier.value_weighted_acs < classifier.synops


def test_a_cut_net_is_counted_with_the_wiring_it_was_cut_from():
    model, wide = vgg(), vgg()
    wiring = trace(wide, torch.zeros(1, 1, 8, 8))
    with torch.no_grad():
        for part in (model.body.conv2, model.body.norm2):
            part.weight[1] = 0
        model.body.norm2.bias[1] = -1.0
    masked = evaluate(model, batches(), time_steps=T, classes=K, wiring=wiring, latency=False)
    for part in (wide.body.conv2, wide.head.classifier):
        index = torch.tensor([0, 2, 3, 4, 5])
        axis = int(part is wide.head.classifier)
        part.weight = nn.Parameter(part.weight.detach().index_select(axis, index))
    wide.body.norm2 = layer.BatchNorm2d(5, step_mode="m")
    nn.init.constant_(wide.body.norm2.bias, 0.6)
    cut = evaluate(wide, batches(), time_steps=T, classes=K, wiring=wiring, latency=False)
    assert cut.synops_per_sample == masked.synops_per_sample
    assert cut.test_accuracy == masked.test_accuracy
    assert cut.dense_macs_per_sample < masked.dense_macs_per_sample
    assert (masked.layers[1].dead_channels, cut.layers[1].dead_channels) == (1, 0)
    assert cut.layers[1].shape == (5, 4, 3, 3)


def test_modes_state_and_hooks_are_as_before():
    model = vgg().train()
    model.body.norm2.eval()
    before = [module.training for module in model.modules()]
    run(model, latency=True)
    assert [module.training for module in model.modules()] == before
    with pytest.raises(DataError), torch.enable_grad():
        run(model, [(torch.randn(3, 1, 9, 9), torch.zeros(3, dtype=torch.long))])
    assert [module.training for module in model.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert forward(model, torch.randn(1, 1, 8, 8), time_steps=T).requires_grad


def test_no_samples():
    for nothing in ([], [(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long))]):
        with pytest.raises(DataError, match="got none"):
            run(vgg(), nothing)
        with pytest.raises(DataError, match="got none"):
            evaluate(vgg(), nothing, time_steps=T)


def test_labels_that_are_no_classes():
    x = torch.randn(3, 1, 8, 8)
    for labels in ([0, 1, K], [0, -1, 2], [0, 1]):
        with pytest.raises(DataError, match=f"from 0 to {K - 1} for each sample"):
            run(vgg(), [(x, torch.tensor(labels))])
    with pytest.raises(ModelError, match=f"logits of 7 classes, got {K}"):
        run(vgg(), classes=7)


def test_logits_that_are_not_finite():
    model = vgg()
    nn.init.constant_(model.head.classifier.bias, 3e38)
    model.head.classifier.register_forward_hook(lambda module, x, out: out * 10)
    with pytest.raises(RunError, match="logits of batch 1 are not finite"):
        run(model)


def test_a_layer_that_was_not_run():
    model = vgg()
    wiring = trace(model, torch.zeros(1, 1, 8, 8))
    convolution, model.spare = model.body.conv2, layer.Conv2d(4, 6, 3, padding=1, step_mode="m")
    found = wiring.layers.pop("body.conv2")
    wiring.layers["spare"] = replace(found, name="spare")
    assert convolution.weight.shape == model.spare.weight.shape
    with pytest.raises(ModelError, match="'spare' was not run"):
        evaluate(model, batches(), time_steps=T, classes=K, wiring=wiring, latency=False)


@pytest.mark.parametrize("name", ["vgg-small", "resnet19-pre", "sew-resnet18"])
def test_the_masked_and_the_cut_net_have_the_same_account(name):
    torch.manual_seed(0)
    tiny = {"widths": (4, 6, 8, 8)} if name == "vgg-small" else {"width": 1 / 16}
    model = zoo.build(name, classes=K, in_channels=1, image_size=16, time_steps=T, **tiny)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 0.8)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(4, 1, 16, 16, generator=generator)
    data = [(x, torch.randint(0, K, (4,), generator=generator))]
    wiring = trace(model, x[:1])
    groups = channel_groups(model, x[:1], wiring)
    live = {g.name: torch.arange(g.channels) % 3 != 1 for g in groups}
    mask = channel_masks(model, groups, live)
    apply_(dict(model.named_parameters()), mask)
    given = {"time_steps": T, "wiring": wiring, "classes": K, "latency": False}
    masked = evaluate(model, data, mask=mask, **given)
    total = sum(model.get_submodule(layer).weight.numel() for layer in wiring.layers)
    cut = evaluate(apply_plan(model, plan_for(groups, live)), data, prunable=total, **given)
    assert cut.effective_acs_per_sample == masked.effective_acs_per_sample > 0
    assert cut.effective_macs_per_sample == masked.effective_macs_per_sample
    assert cut.first_layer_macs_per_sample == masked.first_layer_macs_per_sample
    assert cut.test_accuracy == masked.test_accuracy
    assert cut.density < masked.density < 1
    assert cut.dense_macs_per_sample < masked.dense_macs_per_sample


def test_a_dead_net_is_warned_of():
    model = by_hand()
    assert hand_metrics(model).silent_neurons == 0
    with torch.no_grad():
        model[0].weight.zero_()
    found = hand_metrics(model)
    assert found.silent_neurons == found.layers[0].silent_neurons == 1
    assert found.layers[1].silent_neurons is None
    weights, mute, level = found.warnings
    assert weights.startswith("no live weight is left in 0:")
    assert mute.startswith("no neuron of 1 fires")
    assert level.startswith("accuracy is at chance")
    assert found.to_dict()["warnings"] == [weights, mute, level]


def test_a_net_that_answers_well_is_not_warned_of():
    x, y = HAND_X[:2].repeat(20, 1), HAND_Y[:2].repeat(20)
    found = hand_metrics(batches=[(x, y)])
    assert found.warnings == ()
    assert "warnings" not in found.to_dict()
