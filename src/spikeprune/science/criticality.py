"""From membrane potentials to one criticality score per channel, in a stream.

`S_i = mean_b [ max_p ( mean_t g(x[t, b, i, p]) ) ]` with `x = H - V_th` charged, before reset.
Nothing of size `[T, B, C, *space]` is kept: `charge` folds time steps into `[B, C, *space]`,
`pool` reduces a finished forward to `[C]`, `add` and `merge` sum over batches and processes.

Source: Chen et al., Brain-Inspired Efficient Pruning: Exploiting Criticality in Spiking Neural
Networks; method, section 2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ObservationError, RunError, require_one_of
from spikeprune.science.correlation import average_ranks
from spikeprune.science.memory_order import sample_blocks
from spikeprune.science.surrogate import Curve

REDUCTIONS = ("max", "mean")


def _require_potentials(x: Tensor) -> None:
    if x.ndim < 3 or x.numel() == 0:
        raise ObservationError(
            "expected potentials [T, B, C, *space] with at least one entry, "
            f"got shape {tuple(x.shape)}"
        )


def _widen(x: Tensor) -> Tensor:
    """Return at least float32: half precision would lose small terms of a sum over time."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sum_in_order(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Sum over `dims` in an order that does not depend on the number of CPU threads.

    Threads share out the entries of the result, and each entry is summed in a fixed order. Only a
    sum to a single number does torch cut up among threads: here it gets zeros beside it.
    """
    kept = [dim for dim in range(x.ndim) if dim not in dims]
    if any(x.shape[dim] > 1 for dim in kept):
        return x.sum(dims)
    return torch.cat((x, torch.zeros_like(x)), kept[-1]).sum(dims).narrow(-1, 0, 1)


def _over_space(x: Tensor, space: str) -> Tensor:
    dims = tuple(range(2, x.ndim))
    if not dims:
        return x
    if space == "mean":
        return sum_in_order(x, dims) / x[0, 0].numel()
    return _max_by_halves(x) if x.stride(1) == 1 else x.amax(dims)


def _max_by_halves(x: Tensor) -> Tensor:
    """Return the maximum over space of a channels-last tensor, for which `amax` is slow."""
    rows = x.movedim(1, -1).flatten(1, -2)
    while rows.shape[1] > 1:  # the halves of an odd number share the middle row
        half = (rows.shape[1] + 1) // 2
        rows = torch.maximum(rows[:, :half], rows[:, -half:])
    return rows[:, 0]


def charge(partial: Tensor | None, x: Tensor, curve: Curve, time: str) -> tuple[Tensor, Tensor]:
    """Fold time steps into the running sum (`time='mean'`) or maximum (`time='max'`) of g(x).

    The same pass over memory counts spikes, `x >= 0`.

    Args:
        partial: Running value of the earlier steps of this forward, `[B, C, *space]`, or None;
            not written to.
        x: Potential minus threshold, `[T', B, C, *space]`, charged, before reset, T' >= 1.
        curve: `g`; its result is written to.
        time: `mean` or `max`.

    Returns:
        The running value `[B, C, *space]`, at least float32; and the spikes of each channel over
        these steps, samples and positions, `[C]`, int64.

    Raises:
        ObservationError: `x` is empty or has fewer than three dimensions.
        ConfigError: Unknown `time`.
    """
    require_one_of("time reduction", time, REDUCTIONS)
    _require_potentials(x)
    combine = torch.add if time == "mean" else torch.maximum
    total = torch.empty_like(x[0], dtype=torch.promote_types(x.dtype, torch.float32))
    counts = torch.zeros(x.shape[2], dtype=torch.int64, device=x.device)
    for block in sample_blocks(x):
        part = x[:, block]
        counts += _spikes(part)
        values = curve(_widen(part)).unbind(0)
        running = values[0] if partial is None else combine(partial[block], values[0])
        for value in values[1:]:
            combine(running, value, out=running)
        total[block] = running
    return total, counts


def _spikes(x: Tensor) -> Tensor:
    # As floats: sums of bool are ten times as slow. Exact up to 2^24 spikes in a block.
    fired = torch.ge(x, 0, out=torch.empty_like(x, dtype=torch.float32))
    return fired.sum((0, 1, *range(3, x.ndim))).to(torch.int64)


def pool(partial: Tensor, steps: int, *, space: str = "max", time: str = "mean") -> Tensor:
    """Finish a forward of `steps` time steps: reduce time and space, sum over the samples.

    Args:
        partial: The result of `charge` over all steps, `[B, C, *space]` (no space: linear).
        steps: Number of time steps that were charged.
        space: `max` (paper) or `mean`.
        time: As in `charge`.

    Returns:
        `[C]`, the sum over B of each sample's value.

    Raises:
        ObservationError: No time step was charged.
        ConfigError: Unknown `space` or `time`.
    """
    require_one_of("space reduction", space, REDUCTIONS)
    require_one_of("time reduction", time, REDUCTIONS)
    if steps < 1:
        raise ObservationError(
            f"expected at least one recorded time step, got {steps}; run the model while observing"
        )
    summed = sum_in_order(_over_space(partial, space), (0,))
    return summed / steps if time == "mean" else summed


def per_channel(fired: Tensor) -> Tensor:
    """Sum spike counts `[B, C, *space]` (float32) over samples and space: `[C]`, int64.

    Exact for up to 2^24 spikes of one channel in one sample.
    """
    per_sample = fired.sum(tuple(range(2, fired.ndim))) if fired.ndim > 2 else fired
    return per_sample.sum(0, dtype=torch.float64).to(torch.int64)


class ChannelSum(NamedTuple):
    """Sum `total` `[C]` of the values of `samples` samples, per channel."""

    total: Tensor
    samples: int


def merge(a: ChannelSum, b: ChannelSum) -> ChannelSum:
    """Add the sums of two batches or two processes.

    Raises:
        ObservationError: Their channel counts differ.
    """
    if a.total.shape != b.total.shape:
        raise ObservationError(
            f"expected {tuple(a.total.shape)} channel values as before, "
            f"got {tuple(b.total.shape)}; observe one neuron layer per state"
        )
    return ChannelSum(a.total + b.total, a.samples + b.samples)


def add(state: ChannelSum | None, pooled: Tensor, batch: int) -> ChannelSum:
    """Add the `pool` result of a forward of `batch` samples to the state; None is an empty one."""
    new = ChannelSum(pooled, batch)
    return new if state is None else merge(state, new)


def compute(state: ChannelSum) -> Tensor:
    """Return the mean per sample, `[C]`.

    Raises:
        ObservationError: No sample was seen.
    """
    if state.samples < 1:
        raise ObservationError(
            "expected at least one observed sample, got none; give the scorer a batch"
        )
    return state.total / state.samples


def channel_criticality(
    x: Tensor, curve: Curve, *, space: str = "max", time: str = "mean"
) -> Tensor:
    """Score channels from stored potentials `[T, B, C, *space]`: the definition, for small tensors.

    Arguments and errors as in `charge` and `pool`. The result `[C]` equals `charge`, `pool`, `add`
    and `compute` over any split of T and B, up to rounding.
    """
    require_one_of("space reduction", space, REDUCTIONS)
    require_one_of("time reduction", time, REDUCTIONS)
    _require_potentials(x)
    values = curve(_widen(x))
    timed = values.mean(0) if time == "mean" else values.amax(0)
    return _over_space(timed, space).mean(0)


def rank_in_layer(scores: Tensor) -> Tensor:
    """Replace the scores `[C]` of a layer by their rank divided by C; ties get their mean rank.

    In (0, 1], at least float32; the largest score gets 1 if it has no equal.

    Raises:
        RunError: A score is not a number.

    Source: method, section 2, option `normalise = layer`.
    """
    if bool(scores.isnan().any()):
        raise RunError("a channel score is not a number; the potentials have diverged")
    return average_ranks(scores) / max(scores.numel(), 1)
