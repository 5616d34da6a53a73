"""Criteria of weights against hand-worked values, and conformance tests over the two tables."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats, Moments
from spikeprune.pruning.criteria.at_initialization import InitialNet
from spikeprune.pruning.criteria.inputs import Observations, ScoreInputs, weight_scores
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.wiring import Layer, Wiring

T = 3
SHAPES = {"conv": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
FEEDING = ("conv", "hidden")
SCORE = {"n1": torch.tensor([0.2, 0.9, 0.2, 0.4]), "n2": torch.tensor([0.1, 0.3, 0.5, 0.7, 0.8, 1])}
RATE = {"n1": torch.tensor([0.0, 0.5, 0.25, 1.0]), "n2": torch.full((6,), 0.5)}
STATS = {n: ChannelStats(s, RATE[n], 8, Moments(s - 0.5, s / 2 + 0.1, s)) for n, s in SCORE.items()}


def wired(name, feeds, sources, inputs, outputs):
    return Layer(
        name,
        kind="conv" if len(outputs) == 3 else "linear",
        feeds=feeds,
        sources=sources,
        binary=bool(sources),
        input_shape=torch.Size(inputs),
        output_shape=torch.Size(outputs),
        norms=(),
        macs=1,
    )


WIRING = Wiring(
    {
        "conv": wired("conv", ("n1",), (), (2, 5, 5), (4, 2, 2)),
        "hidden": wired("hidden", ("n2",), ("n1",), (16,), (6,)),
        "head": wired("head", (), ("n2",), (6,), (3,)),
    },
    {"n1": 4, "n2": 6},
)


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


FILTERED = {n: w[0].square().double() for n, w in tensors(3).items()}
PRODUCTS = {n: torch.diag_embed(t.flatten() + 1)[None] for n, t in FILTERED.items()}
OPERANDS = {n: w[0].abs().double() for n, w in tensors(2).items()}


def by_parameter(values):
    return {f"{name}.weight": value for name, value in values.items()}


def scores(criterion, *, gradients=None, measured=None, everywhere=True, **criticality):
    weights = tensors()
    inputs = ScoreInputs(
        Observations(
            torch.Generator().manual_seed(0),
            stats=STATS,
            gradients=by_parameter(tensors(1) if gradients is None else gradients),
            operands=OPERANDS,
            filtered=FILTERED,
            products=PRODUCTS,
            squares=by_parameter({n: t.square() for n, t in tensors(4).items()}),
            measured=measured or {},
        ),
        wiring=WIRING,
        criticality=CriticalityOptions(**criticality),
        time_steps=T,
        live={n: w > -1 for n, w in weights.items()},
        last_magnitude={n: w.abs() + 1 for n, w in weights.items()},
        gains={n: torch.arange(1.0, len(w) + 1) for n, w in weights.items()},
        latent={n: w.abs() + 2 for n, w in weights.items()},
    )
    found = weight_scores(criterion, weights, inputs, everywhere=everywhere)
    return {n: s.expand(SHAPES[n]) for n, s in found.items()}


def regrown(name="criticality", gradients=None, **criticality):
    return scores(REGROWTH[name], gradients=gradients, **criticality)


class Net(nn.Sequential):
    """The net that `WIRING` describes, with the weights of `tensors()`."""

    def __init__(self):
        super().__init__()
        self.conv, self.n1 = layer.Conv2d(2, 4, 3, stride=2, bias=False), neuron.LIFNode()
        self.flatten = layer.Flatten()
        self.hidden, self.n2 = layer.Linear(16, 6, bias=False), neuron.LIFNode()
        self.head = layer.Linear(6, 3, bias=False)
        functional.set_step_mode(self, "m")
        for name, weight in tensors().items():
            self.get_submodule(name).weight.data = weight


def measured(criterion):
    """What a criterion that is measured at initialization says of the net; {} of the others."""
    if criterion.measure is None:
        return {}
    generator = torch.Generator().manual_seed(2)
    batch = (torch.randn(6, 2, 5, 5, generator=generator), torch.arange(6) % 3)
    net = InitialNet(
        Net(),
        tuple(SHAPES),
        torch.zeros(1, 2, 5, 5),
        time_steps=T,
        batches=[batch],
        loss=loss_by_name("mean-logits"),
    )
    return criterion.measure(net)


# -- saliency ----------------------------------------------------------------------------------


def test_crisis_is_drive_times_gain_times_density():
    found = scores(SALIENCY["crisis"])
    normal = torch.distributions.Normal(SCORE["n2"] - 0.5, (SCORE["n2"] / 2 + 0.1).sqrt())
    post = torch.arange(1.0, 7) * normal.log_prob(torch.zeros(())).exp()
    pre = RATE["n1"].repeat_interleave(4)  # behind a flatten, 4 features a channel
    last = tensors()["hidden"].abs() + 1
    torch.testing.assert_close(found["hidden"], last * pre * post[:, None])
    assert found.keys() == set(FEEDING)  # the classifier has no threshold


def test_wanda_is_the_square_of_gain_and_weight_times_what_the_membrane_reads():
    found = scores(SALIENCY["wanda"])
    for name, weight in tensors().items():
        gain = torch.arange(1.0, len(weight) + 1).reshape(-1, *[1] * (weight.ndim - 1))
        expected = (gain * weight).square() * FILTERED[name].float()
        torch.testing.assert_close(found[name], expected)


def test_sbc_of_inputs_without_correlation_is_wanda_but_for_the_damping():
    found = scores(SALIENCY["sbc"])
    for name, weight in tensors().items():
        gain = torch.arange(1.0, len(weight) + 1).reshape(-1, *[1] * (weight.ndim - 1))
        level = FILTERED[name] + 1
        expected = (gain * weight).square() * (level + 0.01 * level.mean()).float()
        torch.testing.assert_close(found[name], expected)


def test_fisher_is_the_square_of_the_weight_times_that_of_the_gradients():
    found, gradients = scores(SALIENCY["fisher"]), tensors(4)
    for name, weight in tensors().items():
        torch.testing.assert_close(found[name], (weight * gradients[name]).square())


def test_magnitude_firing_rate_and_criticality_magnitude():
    weights = tensors()
    assert torch.equal(scores(SALIENCY["magnitude"])["hidden"], weights["hidden"].abs())
    found = scores(SALIENCY["firing-rate"])
    assert torch.equal(found["conv"], weights["conv"].abs())  # the image: 1 throughout
    assert torch.equal(found["head"], weights["head"].abs() * 0.5)
    found = scores(SALIENCY["criticality-magnitude"])
    assert torch.equal(found["hidden"], weights["hidden"].abs() * SCORE["n2"][:, None])


def test_signed_magnitude_ranks_each_sign_of_the_live_weights():
    found, weight = scores(SALIENCY["signed-magnitude"])["conv"], tensors()["conv"]
    for sign in (weight > 0, (weight < 0) & (weight > -1)):
        order = weight[sign].abs().argsort()
        assert bool((found[sign][order].diff() >= 0).all())


@pytest.mark.parametrize("name", SALIENCY)
def test_every_saliency_conforms(name):
    criterion = SALIENCY[name]
    found, again = (scores(criterion, measured=measured(criterion)) for _ in range(2))
    assert found.keys() == (SHAPES.keys() if criterion.everywhere else set(FEEDING))
    for layer_name, score in found.items():
        assert score.shape == SHAPES[layer_name]
        assert bool(score.isfinite().all())
        assert not score.requires_grad
        assert torch.equal(score, again[layer_name])
        assert score.unique().numel() > 1
    at_initialization = criterion.measure is not None
    assert at_initialization == (name in {"snip", "grasp", "synflow"})
    assert name == "grasp" or bool((found["conv"] >= 0).all())
    assert criterion.cost(8, T) > 0 if at_initialization else criterion.cost(8, T) == 0
    assert criterion.rounds == (100 if name == "synflow" else 1)


def test_the_scores_measured_at_initialization_are_three_different_ones():
    found = {
        name: scores(SALIENCY[name], measured=measured(SALIENCY[name]))
        for name in ("snip", "grasp", "synflow")
    }
    # snip is |g w|; in the classifier synflow is |w| times the flow into it, the same for each row.
    flow = (found["synflow"]["head"] / tensors()["head"].double().abs())[0]
    torch.testing.assert_close(
        found["synflow"]["head"], tensors()["head"].double().abs() * flow.expand(3, 6)
    )
    assert bool((found["snip"]["head"] >= 0).all())
    assert bool((found["grasp"]["head"] < 0).any())


# -- regrowth ----------------------------------------------------------------------------------


def test_every_weight_gets_the_score_of_the_channel_it_feeds():
    found = regrown()
    assert torch.equal(found["conv"], SCORE["n1"].reshape(4, 1, 1, 1).expand(4, 2, 3, 3))
    assert torch.equal(found["hidden"], SCORE["n2"].reshape(6, 1).expand(6, 16))


def test_normalise_layer_ranks_within_the_layer():
    # 0.2 twice: ranks 1.5 of 4; then 0.4 and 0.9.
    expected = torch.tensor([1.5, 4, 1.5, 3]) / 4
    assert torch.equal(regrown(normalise="layer")["conv"][:, 0, 0, 0], expected)


def test_post_times_pre_multiplies_the_presynaptic_rate():
    found = regrown(weight="post*pre")
    assert torch.equal(found["conv"], regrown()["conv"])  # the image: 1 throughout
    rates = RATE["n1"].repeat_interleave(4)  # 16 features behind a flatten, 4 a channel
    assert torch.equal(found["hidden"], SCORE["n2"].reshape(6, 1) * rates)


def test_gradient_scores():
    gradients = tensors(5)
    assert torch.equal(regrown("gradient", gradients)["conv"], gradients["conv"].abs())
    expected = gradients["hidden"].abs() * SCORE["n2"].reshape(6, 1)
    assert torch.equal(regrown(gradients=gradients, weight="post*grad")["hidden"], expected)


def test_criticality_magnitude_takes_the_last_magnitude_that_a_weight_had():
    found = regrown("criticality-magnitude")["hidden"]
    assert torch.equal(found, (tensors()["hidden"].abs() + 1) * SCORE["n2"].reshape(6, 1))


def test_normalise_synops_divides_by_the_operations_that_a_weight_adds():
    found = regrown(normalise="synops")
    # conv reads the image: 1 x 4 positions x 3 steps an added weight.
    torch.testing.assert_close(found["conv"], regrown()["conv"] / 12)
    rates = RATE["n1"].repeat_interleave(4)
    hidden = found["hidden"]
    assert not hidden[:, :4].any()  # the silent channel comes last
    torch.testing.assert_close(
        hidden[:, 4:], (SCORE["n2"].reshape(6, 1) / (3 * rates[4:]).clamp_min(1 / 8))
    )


def test_random_scores_come_from_the_generator():
    one, two = regrown("random"), regrown("random")
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert one["conv"].unique().numel() == one["conv"].numel()


def test_shuffled_scores_are_the_same_ones_of_other_channels():
    drawn = [regrown("criticality-shuffled", normalise="layer") for _ in range(2)]
    assert all(torch.equal(drawn[0][n], drawn[1][n]) for n in drawn[0])
    ranked = regrown(normalise="layer")
    for name, score in drawn[0].items():
        channels, of_ranked = (s.flatten(1)[:, 0] for s in (score, ranked[name]))
        assert torch.equal(channels.sort().values, of_ranked.sort().values)
        shape = [-1] + [1] * (score.ndim - 1)
        assert torch.equal(score, channels.reshape(shape).expand_as(score))
    assert any(not torch.equal(drawn[0][n], ranked[n]) for n in ranked)


def test_shuffled_scores_go_by_the_options_of_criticality():
    rates = RATE["n1"].repeat_interleave(4)
    hidden = regrown("criticality-shuffled", weight="post*pre")["hidden"]
    assert torch.equal(hidden, regrown("criticality-shuffled")["hidden"] * rates)


@pytest.mark.parametrize("name", REGROWTH)
def test_every_regrowth_conforms(name):
    criterion, gradients = REGROWTH[name], tensors(1)
    found, again = (scores(criterion, gradients=gradients, everywhere=False) for _ in range(2))
    assert found.keys() == set(FEEDING)
    assert criterion.measure is None
    for layer_name, score in found.items():
        assert score.shape == SHAPES[layer_name]
        assert bool(score.isfinite().all())
        assert bool((score >= 0).all())
        assert not score.requires_grad
        assert torch.equal(score, again[layer_name])
        assert score.unique().numel() > 1
