"""Criticality, firing rates and spike counts over a loader, against stored potentials."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.errors import DataError, ObservationError
from spikeprune.observing.activity import neuron_activity, spike_features
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.science.criticality import channel_criticality
from spikeprune.science.features import min_max
from spikeprune.science.surrogate import named_curve

T = 4


@pytest.fixture(params=["m", "s"])
def model(request):
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(2, 3, 3, padding=1),
        layer.BatchNorm2d(3),
        neuron.LIFNode(surrogate_function=surrogate.ATan()),
        layer.Flatten(),
        layer.Linear(48, 5),
        neuron.IFNode(),
        layer.Linear(5, 2),
    )
    functional.set_step_mode(net, request.param)
    with torch.no_grad():
        net[0].weight.mul_(4)
        net[4].weight.mul_(4)
    return net.train()


def batches(count=3, size=5):
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(T, size, 2, 4, 4, generator=generator),
            torch.randint(0, 3, (size,), generator=generator),
        )
        for _ in range(count)
    ]


def runner(model):
    def run(x):
        functional.reset_net(model)
        return model(x) if model[0].step_mode == "m" else torch.stack([model(step) for step in x])

    return run


def stored(model, loader):
    """All potentials of all batches in eval mode: the slow reference, `[T, N, C, *space]`."""
    adapter, seen = adapter_for(model), {}
    model.eval()
    for name, module in spiking_neurons(model).items():
        parts = []
        for x, _ in loader:
            steps = []
            with adapter.observe(module, steps.append, lambda: None), torch.no_grad():
                runner(model)(x)
            parts.append(torch.cat(steps))
        seen[name] = torch.cat(parts, 1)
    model.train()
    return seen


def hooks(model):
    return [
        len(getattr(m, store))
        for m in model.modules()
        for store in ("_forward_hooks", "_forward_pre_hooks")
    ]


def test_streaming_equals_storing(model):
    loader = batches()
    before = hooks(model)
    found = neuron_activity(
        model, loader, CriticalityOptions(curve="atan"), time_steps=T, forward=runner(model)
    )
    assert model.training
    assert hooks(model) == before
    for name, x in stored(model, loader).items():
        spikes = (x >= 0).double()
        assert torch.equal(found[name].spikes, spikes.sum((0, 1)))
        torch.testing.assert_close(found[name].rate, spikes.mean((0, 1, *range(3, x.ndim))))
        torch.testing.assert_close(found[name].score, channel_criticality(x, named_curve("atan")))
        assert found[name].samples == 15
        assert 0 < float(spikes.mean()) < 1


def test_spike_counts_by_class(model):
    loader = batches()
    sums = spike_features(model, loader, ("2", "5"), forward=runner(model), classes=4)
    counts = [(x >= 0).sum(0).flatten(1).double() for x in stored(model, loader).values()]
    features, labels = min_max(torch.cat(counts, 1)), torch.cat([y for _, y in loader])
    assert sums.means.shape == (4, 3 * 16 + 5)
    assert sums.counts.tolist() == torch.bincount(labels, minlength=4).tolist()
    for k in labels.unique().tolist():
        own = features[labels == k]
        torch.testing.assert_close(sums.means[k], own.mean(0))
        torch.testing.assert_close(sums.squares[k], (own - own.mean(0)).square().sum())


def test_nothing_is_left_after_an_error(model):
    before = hooks(model)

    def fail(x):
        raise RuntimeError("stop")

    for measure in (
        lambda: neuron_activity(model, batches(), time_steps=T, forward=fail),
        lambda: spike_features(model, batches(), ("2",), forward=fail, classes=3),
    ):
        with pytest.raises(RuntimeError, match="stop"):
            measure()
        assert hooks(model) == before
        assert model.training


def test_without_data_there_is_nothing_to_say(model):
    with pytest.raises(ObservationError):
        neuron_activity(model, [], time_steps=T, forward=runner(model))
    with pytest.raises(DataError, match="at least one batch"):
        spike_features(model, [], ("2",), forward=runner(model), classes=3)
