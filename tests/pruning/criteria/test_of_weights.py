"""Saliencies of weights against hand-worked values, and a conformance test over the registry."""

import pytest
import torch

from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats, Moments
from spikeprune.pruning.criteria.inputs import ScoreInputs
from spikeprune.pruning.criteria.of_weights import SALIENCY, weight_saliency
from spikeprune.pruning.options import AT_START, PruneOptions
from spikeprune.pruning.weights.choose_weights import choose_weights
from spikeprune.wiring.wiring import Layer, Wiring

SHAPES = {"conv": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
SCORE = {"n1": torch.tensor([0.2, 0.9, 0.2, 0.4]), "n2": torch.tensor([0.1, 0.3, 0.5, 0.7, 0.8, 1])}
RATE = {"n1": torch.tensor([0.0, 0.5, 0.25, 1.0]), "n2": torch.full((6,), 0.5)}
STATS = {n: ChannelStats(s, RATE[n], 8, Moments(s - 0.5, s / 2 + 0.1, s)) for n, s in SCORE.items()}


def layer(name, feeds, sources, inputs, outputs):
    kind = "conv" if len(outputs) == 3 else "linear"
    shapes = torch.Size(inputs), torch.Size(outputs)
    return Layer(name, kind, feeds, sources, bool(sources), *shapes, norms=(), macs=1)


WIRING = Wiring(
    {
        "conv": layer("conv", ("n1",), (), (2, 5, 5), (4, 2, 2)),
        "hidden": layer("hidden", ("n2",), ("n1",), (16,), (6,)),
        "head": layer("head", (), ("n2",), (6,), (3,)),
    },
    {"n1": 4, "n2": 6},
)


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def ranked(kind):
    weights = tensors()
    given = ScoreInputs(
        stats=STATS,
        gradients={},
        wiring=WIRING,
        criticality=CriticalityOptions(),
        time_steps=3,
        generator=torch.Generator().manual_seed(0),
        live={n: w > -1 for n, w in weights.items()},
        memory={n: w.abs() for n, w in weights.items()},
        gains={n: torch.arange(1.0, len(w) + 1) for n, w in weights.items()},
        passes={n: w**3 for n, w in weights.items()},
    )
    return weight_saliency(weights, kind, given)


def test_crisis_is_drive_times_gain_times_density():
    found, weights = ranked("crisis"), tensors()
    normal = torch.distributions.Normal(SCORE["n2"] - 0.5, (SCORE["n2"] / 2 + 0.1).sqrt())
    post = torch.arange(1.0, 7) * normal.log_prob(torch.zeros(())).exp()
    pre = RATE["n1"].repeat_interleave(4)  # behind a flatten, 4 features a channel
    torch.testing.assert_close(found["hidden"], weights["hidden"].abs() * pre * post[:, None])
    assert found.keys() == {"conv", "hidden"}  # the classifier has no threshold


def test_firing_rate_and_criticality_magnitude():
    weights = tensors()
    found = ranked("firing-rate")
    assert torch.equal(found["conv"], weights["conv"].abs())  # the image: 1 throughout
    assert torch.equal(found["head"], weights["head"].abs() * 0.5)
    found = ranked("criticality-magnitude")
    assert torch.equal(found["hidden"], weights["hidden"].abs() * SCORE["n2"][:, None])


@pytest.mark.parametrize("name", SALIENCY)
def test_every_saliency_of_the_registry_conforms(name):
    found, again = ranked(name), ranked(name)
    assert found.keys() == (SHAPES.keys() if SALIENCY[name].everywhere else {"conv", "hidden"})
    for layer_name, score in found.items():
        assert score.shape == SHAPES[layer_name]
        assert bool(score.isfinite().all())
        assert torch.equal(score, again[layer_name])
    assert (SALIENCY[name].measure is not None) == (name in AT_START)
    assert name in AT_START or bool((found["conv"] >= 0).all())


def test_a_layer_without_a_saliency_keeps_the_share_that_magnitudes_give_it():
    weights, live = tensors(), {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    options = PruneOptions.of(sparsity=0.9, saliency="crisis", regrow="none")
    plain = choose_weights(weights, live, {}, density=0.3, options=options)
    event = choose_weights(
        *(weights, live, {}), density=0.3, options=options, ranking=ranked("crisis")
    )
    assert torch.equal(event.live["head"], plain.live["head"])
    total = sum(w.numel() for w in weights.values())
    assert sum(int(m.sum()) for m in event.live.values()) == round(0.3 * total)
    # Of the others the most salient by crisis, over both layers.
    scores, count = ranked("crisis"), round(0.3 * total) - int(event.live["head"].sum())
    flat = torch.cat([scores[n].flatten() for n in scores])
    threshold = flat.sort(descending=True).values[count - 1]
    for n, score in scores.items():
        assert torch.equal(event.live[n], score >= threshold)


def test_saliencies_of_any_sign_rank_dead_weights_last():
    # GraSP's saliency may be negative; a dead weight is not kept for that.
    weights = {"a": torch.tensor([[3.0, -2.0, 1.0, 0.0]])}
    live = {"a": torch.tensor([[True, True, True, False]])}
    ranking = {"a": torch.tensor([[-5.0, -9.0, -7.0, 0.0]])}
    options = PruneOptions.of(sparsity=0.5, regrow="none")
    event = choose_weights(weights, live, {}, density=0.5, options=options, ranking=ranking)
    assert event.live["a"].tolist() == [[True, False, True, False]]
    assert ranking["a"].tolist() == [[-5.0, -9.0, -7.0, 0.0]]  # what was given stays
