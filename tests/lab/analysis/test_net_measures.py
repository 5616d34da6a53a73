import math

import pytest
import torch
from scipy import stats

from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.lab.analysis.net_measures import (
    Sampled,
    entropy,
    features,
    nets_of,
    sampled,
    session_of,
    summary,
)
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.science.criticality import channel_criticality
from spikeprune.science.surrogate import model_curve


@pytest.fixture(scope="module")
def opened(finished):
    run = OpenedRun.at(finished["weight"])
    session = session_of(run, data_root=None, device="cpu")
    batches = sampled(session, session.data.score, None)
    return run, session, batches, dict(nets_of(run, session, batches))


def potentials(net, session, batches):
    """All potentials stored, `[T, N, C, *space]` by neuron: the slow reference."""
    seen, adapter = {}, adapter_for(net)
    net.eval()
    for name, neuron in spiking_neurons(net).items():
        parts = []
        for x, _ in batches:
            steps = []
            with adapter.observe(neuron, steps.append, lambda: None), torch.no_grad():
                session.forward(net)(x)
            parts.append(torch.cat(steps))
        seen[name] = torch.cat(parts, 1).double()
    return seen


def bits(p):
    return sum(-q * math.log2(q) for q in (p, 1 - p) if q > 0)


@pytest.mark.parametrize("name", ["untrained", "dense", "pruned"])
def test_entropy_against_stored_potentials(opened, name):
    _, session, batches, nets = opened
    net = nets[name]
    found = entropy(net, session, batches)
    assert found["samples"] == 100
    reference = potentials(net, session, batches)
    assert list(found["channels"]) == [row["layer"] for row in found["layers"]] == list(reference)
    for row in found["layers"]:
        x = reference[row["layer"]]
        spikes = (x >= 0).double()
        rates = spikes.mean((0, 1, 3, 4)).tolist()
        maps = spikes.mean((0, 1)).flatten(1).tolist()
        by_position = [sum(map(bits, one)) / len(one) for one in maps]
        neuron = net.get_submodule(row["layer"])
        score = channel_criticality(
            x, model_curve(neuron.surrogate_function, "derivative")
        ).tolist()
        values = found["channels"][row["layer"]]
        for key, expected in (
            ("criticality", score),
            ("rate", rates),
            ("entropy_channel", [bits(rate) for rate in rates]),
            ("entropy_position", by_position),
        ):
            assert values[key] == pytest.approx(expected, abs=2e-6)
        rho = stats.spearmanr(by_position, rates).statistic
        assert row["position"]["rate"] == pytest.approx(rho)
        assert row["rates_above_half"] == sum(rate > 0.5 for rate in rates)
        assert row["channel"]["entropy"] == pytest.approx(sum(map(bits, rates)) / len(rates))
        if row["rates_above_half"] == 0 and len(set(rates)) > 1:
            # Then entropy is the rate in other units: nothing is left for criticality.
            assert row["channel"]["rate"] == pytest.approx(1)
            assert row["channel"]["criticality_given_rate"] is None


def test_a_mean_is_over_the_layers_where_there_is_something():
    rows = []
    for value in (0.5, None, -0.1):
        one = {"criticality": value, "rate": 1.0, "criticality_given_rate": None}
        rows.append({"channel": one, "position": one})
    found = summary(rows)["channel"]
    assert found["criticality"] == {"mean": pytest.approx(0.2), "layers": 2}
    assert found["criticality_given_rate"] == {"mean": None, "layers": 0}


def test_features_against_stored_counts(opened):
    run, session, _, nets = opened
    found = features(nets["dense"], run, session, samples=None)
    assert found["neurons"] == ["body.spike3"]
    means = []
    for part, loader in (("train", session.data.score), ("test", session.data.test)):
        x = potentials(nets["dense"], session, loader)["body.spike3"]
        counts = (x >= 0).sum(0).flatten(1).double()
        low, high = counts.amin(1, keepdim=True), counts.amax(1, keepdim=True)
        scaled = (counts - low) / (high - low).clamp_min(1)
        labels = torch.cat([y for _, y in loader])
        assert found["samples"][part] == len(labels)
        assert found["features"] == scaled.shape[1]
        means.append([scaled[labels == k].mean(0) for k in range(10)])
        for k, row in enumerate(found["classes"]):
            own = scaled[labels == k]
            expected = (own - own.mean(0)).square().sum(1).mean()
            assert row[f"variance_{part}"] == pytest.approx(float(expected))
    for k, row in enumerate(found["classes"]):
        cosine = torch.cosine_similarity(means[0][k], means[1][k], dim=0)
        assert row["cosine"] == pytest.approx(float(cosine))
    average = sum(row["cosine"] for row in found["classes"]) / 10
    assert found["mean"]["cosine"] == pytest.approx(average)


def test_the_untrained_net_has_its_seed_s_weights_and_the_data_s_statistics(opened):
    _, session, batches, nets = opened
    fresh, found = session.built().state_dict(), nets["untrained"].state_dict()
    for name, value in fresh.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(found[name], value), name
    first = torch.cat([session.built().stem.conv(x[None])[0] for x, _ in batches])
    mean = found["stem.norm.running_mean"]
    torch.testing.assert_close(mean, first.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)


class Batches(list):
    samples = 10


@pytest.fixture(params=["static", "events"])
def loader(request):
    """Ten samples in batches of four; the label and every value of a sample are its number."""
    batches = Batches()
    for part in torch.arange(10).split(4):
        x = part.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        batches.append((x if request.param == "static" else x.expand(3, *x.shape), part))
    return batches


def numbers(loader, samples):
    batches = list(Sampled(loader, loader, samples))
    for x, y in batches:
        assert (x.reshape(-1, len(y), 4) == y.view(1, -1, 1)).all()
    return [y.tolist() for _, y in batches]


def test_samples_are_spread_evenly(loader):
    whole = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert numbers(loader, None) == numbers(loader, 10) == numbers(loader, 99) == whole
    assert numbers(loader, 5) == [[1, 3, 5, 7], [9]]
    assert numbers(loader, 9) == [[1, 2, 3, 4, 5, 6, 7], [8, 9]]
    assert numbers(loader, 1) == [[9]]


def test_a_dense_run_has_no_pruned_net(finished):
    run = OpenedRun.at(finished["dense"])
    session = session_of(run, data_root=None, device="cpu")
    batches = sampled(session, session.data.score, 20)
    assert [name for name, _ in nets_of(run, session, batches)] == ["untrained", "dense"]
