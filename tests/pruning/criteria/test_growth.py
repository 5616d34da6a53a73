"""Regrowth scores against hand-worked values, and a conformance test over the registry."""

import pytest
import torch

from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats, Moments
from spikeprune.pruning.criteria.inputs import ScoreInputs
from spikeprune.pruning.criteria.of_weights import REGROWTH, growth_scores
from spikeprune.pruning.options import REGROW_NAMES, PruneOptions, needs
from spikeprune.wiring.wiring import Layer, Wiring

SHAPES = {"conv": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
FEEDING = ("conv", "hidden")


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


SCORE = {"n1": torch.tensor([0.2, 0.9, 0.2, 0.4]), "n2": torch.tensor([0.1, 0.3, 0.5, 0.7, 0.8, 1])}
RATE = {"n1": torch.tensor([0.0, 0.5, 0.25, 1.0]), "n2": torch.full((6,), 0.5)}
MOMENTS = {n: Moments(s - 0.5, s / 2 + 0.1, s.abs()) for n, s in SCORE.items()}
STATS = {n: ChannelStats(SCORE[n], RATE[n], 8, MOMENTS[n]) for n in SCORE}


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


def growth(regrow="criticality", gradients=None, **criticality):
    weights = tensors(0)
    given = ScoreInputs(
        stats=STATS,
        gradients=gradients or {},
        wiring=WIRING,
        criticality=CriticalityOptions(**criticality),
        time_steps=3,
        generator=torch.Generator().manual_seed(0),
        live={n: w > -1 for n, w in weights.items()},
        memory={n: w.abs() for n, w in weights.items()},
        gains={n: torch.full((len(w),), 2.0) for n, w in weights.items()},
    )
    scores = growth_scores(weights, regrow, given)
    return {n: s.expand(SHAPES[n]) for n, s in scores.items()}


def test_the_classifier_takes_no_part_in_regrowth():
    assert set(growth()) == set(growth("random")) == set(FEEDING)
    assert growth("none") == {}


def test_every_weight_gets_the_score_of_the_channel_it_feeds():
    scores = growth()
    assert torch.equal(scores["conv"], SCORE["n1"].reshape(4, 1, 1, 1).expand(4, 2, 3, 3))
    assert torch.equal(scores["hidden"], SCORE["n2"].reshape(6, 1).expand(6, 16))


def test_normalise_layer_ranks_within_the_layer():
    # 0.2 twice: ranks 1.5 of 4; then 0.4 and 0.9.
    expected = torch.tensor([1.5, 4, 1.5, 3]) / 4
    assert torch.equal(growth(normalise="layer")["conv"][:, 0, 0, 0], expected)


def test_post_times_pre_multiplies_the_presynaptic_rate():
    scores = growth(weight="post*pre")
    assert torch.equal(scores["conv"], growth()["conv"])  # the image: 1 throughout
    rates = RATE["n1"].repeat_interleave(4)  # 16 features behind a flatten, 4 a channel
    assert torch.equal(scores["hidden"], SCORE["n2"].reshape(6, 1) * rates)


def test_gradient_scores():
    gradients = tensors(5)
    assert torch.equal(growth("gradient", gradients)["conv"], gradients["conv"].abs())
    expected = gradients["hidden"].abs() * SCORE["n2"].reshape(6, 1)
    assert torch.equal(growth(gradients=gradients, weight="post*grad")["hidden"], expected)


def test_normalise_synops_divides_by_the_operations_that_a_weight_adds():
    scores = growth(normalise="synops")
    # conv reads the image: 1 x 4 positions x 3 steps an added weight.
    torch.testing.assert_close(scores["conv"], growth()["conv"] / 12)
    rates = RATE["n1"].repeat_interleave(4)
    hidden = scores["hidden"]
    assert not hidden[:, :4].any()  # the silent channel comes last
    torch.testing.assert_close(
        hidden[:, 4:], (SCORE["n2"].reshape(6, 1) / (3 * rates[4:]).clamp_min(1 / 8))
    )


def test_a_layer_that_feeds_two_neurons_takes_their_mean():
    wiring = Wiring(
        {"conv": layer("conv", ("n1", "m"), (), (2, 5, 5), (4, 2, 2))}, {"n1": 4, "m": 4}
    )
    stats = {"n1": STATS["n1"], "m": ChannelStats(torch.ones(4), torch.ones(4), 8)}
    given = ScoreInputs(stats, {}, wiring, CriticalityOptions(), 3, torch.Generator())
    scores = growth_scores({"conv": tensors(0)["conv"]}, "criticality", given)
    torch.testing.assert_close(scores["conv"].flatten(), (SCORE["n1"] + 1) / 2)


def test_random_scores_come_from_the_generator():
    one, two = growth("random"), growth("random")
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert one["conv"].unique().numel() == one["conv"].numel()


def test_shuffled_scores_are_the_same_ones_of_other_channels():
    drawn = [growth("criticality-shuffled", normalise="layer") for _ in range(2)]
    assert all(torch.equal(drawn[0][n], drawn[1][n]) for n in drawn[0])
    ranked = growth(normalise="layer")
    for name, score in drawn[0].items():
        channels, of_ranked = (s.flatten(1)[:, 0] for s in (score, ranked[name]))
        assert torch.equal(channels.sort().values, of_ranked.sort().values)
        assert torch.equal(score, channels.reshape(-1, *[1] * (score.ndim - 1)).expand_as(score))
    assert any(not torch.equal(drawn[0][n], ranked[n]) for n in ranked)


def test_shuffled_scores_go_by_the_options_of_criticality():
    rates = RATE["n1"].repeat_interleave(4)
    hidden = growth("criticality-shuffled", weight="post*pre")["hidden"]
    assert torch.equal(hidden, growth("criticality-shuffled")["hidden"] * rates)


@pytest.mark.parametrize("name", REGROWTH)
def test_every_score_of_the_registry_conforms(name):
    scores = growth(name, tensors(1))
    assert scores.keys() == set(FEEDING)
    for layer_name, score in scores.items():
        assert score.shape == SHAPES[layer_name]
        assert bool(score.isfinite().all())
        assert bool((score >= 0).all())
        assert not score.requires_grad
    again = growth(name, tensors(1))
    assert all(torch.equal(score, again[n]) for n, score in scores.items())


@pytest.mark.parametrize(
    ("regrow", "weight", "potentials", "gradient"),
    [
        ("criticality", "post", True, False),
        ("criticality", "post*grad", True, True),
        ("criticality-shuffled", "post*grad", True, True),
        ("gradient", "post", False, True),
        ("random", "post*grad", False, False),
        ("none", "post*grad", False, False),
    ],
)
def test_only_what_is_needed_is_gathered(regrow, weight, potentials, gradient):
    criticality = CriticalityOptions(weight=weight)
    options = PruneOptions.of(sparsity=0.5, regrow=regrow, criticality=criticality)
    wanted = needs(options)
    assert (wanted.potentials, wanted.gradient) == (potentials, gradient)
    assert regrow in REGROW_NAMES
