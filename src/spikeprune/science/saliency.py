"""Saliencies: the weights (or channels) of the smallest saliency are dropped.

Each function returns a detached tensor that broadcasts to the weight
`[C_out, C_in / groups, *kernel]`; all but `gradient_flow` are non-negative. Rates `[C_in]` are
spikes per neuron and time step of the presynaptic channel.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from spikeprune.science.broadcast import per_input, per_output

_LEAST_VARIANCE = 1e-8


def magnitude(weight: Tensor) -> Tensor:
    """Return `|w|` (method, section 3, step 2)."""
    return weight.detach().abs()


def batchnorm_scale(gamma: Tensor) -> Tensor:
    """Return `|gamma|` of a BatchNorm, `[C]` (method, section 4, step 2)."""
    return gamma.detach().abs()


def random(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1), drawn on the generator's device, at least float32.

    Half precision has too few values: ties would make the choice less random.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    drawn = torch.rand(like.shape, generator=generator, dtype=dtype, device=generator.device)
    return drawn.to(like.device)


def signed_rank(weight: Tensor, live: Tensor) -> Tensor:
    """Rank the live weights of one tensor by `|w|` among those of their sign, in (0, 1].

    The smallest positive and the largest negative weight come first, so dropping by this rank takes
    about equal shares of both signs. Ties share the highest rank; 0 counts as positive. Dead
    weights get 0.

    Source: Mocanu et al., 2018 (SET drops "the smallest positive and the largest negative").
    """
    size = weight.detach().abs()
    ranks = torch.zeros_like(size)
    for members in (live & (weight >= 0), live & (weight < 0)):
        values = size[members]
        if values.numel():
            below = torch.searchsorted(values.sort().values, values, right=True)
            ranks[members] = below.to(ranks.dtype) / values.numel()
    return ranks


def drive(weight: Tensor, pre_rate: Tensor) -> Tensor:
    """Return `|w| r`: the expected size of a synapse's input to a potential per time step.

    Raises:
        ModelError: The rates do not fit the weight.

    Source: as Sun et al., 2023 (Wanda, `|w| ||x||`), with the mean of a binary input for its norm.
    """
    return weight.detach().abs() * per_input(weight, pre_rate)


def lamp(weight: Tensor, live: Tensor) -> Tensor:
    """Return `w_u^2 / (sum of w_v^2 over live v with |w_v| >= |w_u|)`, in [0, 1]; dead weights: 0.

    The share of what is left of a layer that goes with its smallest weight, which compares across
    layers. The largest weight of a layer has 1, so every layer keeps it as long as any.

    Source: Lee et al., 2021 (LAMP, equation 4), with equal weights sharing a score.
    """
    squares = weight.detach().double().square().masked_fill(~live, 0).flatten()
    rising, order = squares.sort()
    # Counted from the largest down; the first of equal ones has them all in its sum.
    above = rising.flip(0).cumsum(0).flip(0)
    first = torch.searchsorted(rising, rising)
    scores = torch.empty_like(rising)
    scores[order] = rising / above[first].clamp_min(torch.finfo(rising.dtype).tiny)
    return scores.reshape(weight.shape).to(torch.promote_types(weight.dtype, torch.float32))


def distortion(weight: Tensor, cost: Tensor) -> Tensor:
    """Return `w^2 c` over its sum in the layer: the share of the layer's drive, in [0, 1].

    `c` is the number of operands that a weight reads (`science.cost.weight_costs`), so for binary
    operands that hold no correlation the mean square of the drive that is lost without the weight.

    Source: method, section 9.3.
    """
    lost = weight.detach().double().square() * cost
    total = lost.sum().clamp_min(torch.finfo(lost.dtype).tiny)
    return (lost / total).to(torch.promote_types(weight.dtype, torch.float32))


def wanda(weight: Tensor, mean_square: Tensor, gain: Tensor) -> Tensor:
    """Return `(gain w)^2 E[(K x)^2]`: mean square of what the membrane loses without the weight.

    Args:
        weight: `[C_out, C_in / groups, *kernel]`.
        mean_square: of the filtered input that each weight reads, broadcastable to the weight.
        gain: `|gamma| / sqrt(var + eps)` of the BatchNorm behind, `[C_out]`.

    Raises:
        ModelError: gains do not fit the weight.

    Source: method, section 9.3; the diagonal of the Hessian of SBC, arXiv:2506.03996, in the place
    of the `||x||^2` of Sun et al., 2023 (Wanda).
    """
    wide = weight.detach().double()
    lost = wide.square() * mean_square * per_output(wide, gain.double().square())
    return lost.to(torch.promote_types(weight.dtype, torch.float32))


def taylor(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return `(w g)^2`: the square of the change of the loss without the weight, to first order.

    Source: Molchanov et al., 2019.
    """
    return (weight.detach() * gradient.detach()).square()


def fisher(weight: Tensor, mean_square_gradient: Tensor) -> Tensor:
    """Return `w^2 E[g^2]`: the change of the loss without the weight, by the empirical Fisher.

    To second order the loss changes by `w^2 H / 2`; at a minimum of it the mean of `g^2` stands for
    the diagonal of `H`. The factor 1/2 changes no rank.

    Source: Theis et al., 2018 (Fisher pruning, arXiv:1801.05787); with gradients of batches, not of
    samples, as Molchanov et al., 2019.
    """
    square = weight.detach().square() * mean_square_gradient
    return square.to(torch.promote_types(weight.dtype, torch.float32))


def spike_effect(weight: Tensor, pre_rate: Tensor, post_criticality: Tensor) -> Tensor:
    """Return `|w| r_pre S_post`: how far a synapse changes the spikes of its neuron.

    Its drive, `|w| r_pre`, moves the potential; the surrogate gradient there, whose mean is the
    criticality of the channel, says what a small move changes.

    Raises:
        ModelError: rates or criticality do not fit the weight.

    Source: method, section 9.3.
    """
    return drive(weight, pre_rate) * per_output(weight, post_criticality)


def marginal_value(scores: Mapping[str, Tensor], costs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `score / cost` of every weight: one ranking by it spends a budget of cost best.

    For an additive score it is the optimum of the knapsack, up to the last weight. Costs are above
    0 and broadcast to the scores.

    Source: method, section 9.2; Meng et al., 2024 (FALCON, arXiv:2403.07094) for two budgets.
    """
    return {n: (s / costs[n]).to(s.dtype) for n, s in scores.items()}


def threshold_density(mean: Tensor, variance: Tensor) -> Tensor:
    """Return the density at 0 of a normal distribution: `N(0 | mean, variance)`.

    Mean and variance are those of the potential minus the threshold; the variance is clamped to
    at least 1e-8.
    """
    spread = variance.detach().clamp_min(_LEAST_VARIANCE)
    centred = mean.detach()
    return torch.exp(-centred.square() / (2 * spread)) / (2 * math.pi * spread).sqrt()


def crisis(magnitude: Tensor, pre_rate: Tensor, gain: Tensor, density: Tensor) -> Tensor:
    """Return the crisis probability `|w| r gain N(0 | mu - u_th, var)` of every weight.

    The expected change of the potential without the weight, times the density of potentials at the
    threshold. `E_act |w|`, the weight's expectation over activations, is taken as `|w|` times the
    firing rate of the presynaptic channel.

    Args:
        magnitude: `|w|`.
        pre_rate: `[C_in]`.
        gain: `|gamma| / sqrt(sigma_B^2 + eps)` of the BatchNorm behind, `[C_out]`.
        density: `threshold_density` of the channel that the weight feeds, `[C_out]`.

    Raises:
        ModelError: Rates, gains or densities do not fit the weight.

    Source: Yao et al., 2023, arXiv:2305.12148; method, `docs/methods.md`.
    """
    return drive(magnitude, pre_rate) * per_output(magnitude, gain * density)


def connection_sensitivity(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return `|g w|`, the effect on the loss of removing a weight, to first order.

    Source: Lee et al., 2019 (SNIP), without the normalisation, which changes no rank.
    """
    return (gradient * weight).detach().abs()


def gradient_flow(weight: Tensor, hessian_gradient: Tensor) -> Tensor:
    """Return `w (H g)`, of any sign: removing the weight adds `-2 w (H g)` to `g^T g`.

    The weights to keep have the largest value: the paper removes the largest `-w (H g)`.

    Source: Wang et al., 2020 (GraSP).
    """
    return (weight * hessian_gradient).detach()
