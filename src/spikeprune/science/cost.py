"""Counting: dense MACs, synaptic operations, modelled energy, training FLOPs (method, section 6).

A synaptic operation is one non-zero weight reading one non-zero operand at one time step; bias
and padding read nothing (the Effective_ACs and Effective_MACs of NeuroBench). The sum over all
samples, steps and output positions is split by weight, because the operands that one weight reads
do not depend on the other weights: with `reads[c, i, j]` the number of non-zero operands of input
channel `c` that kernel position (i, j) meets, and `fan_out[c, i, j]` the number of live weights
there, `synops = sum(reads * fan_out)`. All are integers; the result equals convolving each
binarised input with the binarised weight and summing up.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from spikeprune.errors import ConfigError, ModelError

MAC_PJ = 4.6
"""Energy of a 32-bit floating-point multiply-accumulate at 45 nm, in pJ (Horowitz, ISSCC 2014)."""

AC_PJ = 0.9
"""Energy of a 32-bit floating-point addition at 45 nm, in pJ (Horowitz, ISSCC 2014)."""

FP32_BYTES = 4
"""Bytes of a stored parameter."""

ROUNDING = 1e-4
"""Largest relative difference of two values that count as the same spike."""


def conv_reads(
    counts: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    output_size: Sequence[int],
) -> Tensor:
    """Return the sum of the inputs that each kernel position reads, over all output positions.

    Args:
        counts: `[C_in, *space]`, per input position the sum over samples and steps of non-zero
            operands (integers, for SynOps) or of values (floating point).
        kernel_size: One length per space axis.
        stride: One number, or one per space axis; so are padding and dilation.
        padding: Zeros before the first position.
        dilation: Distance of kernel positions.
        output_size: Output positions per space axis.

    Returns:
        `[C_in, *kernel_size]`, in the dtype of `counts`.

    Raises:
        ModelError: The number of axes does not fit.
    """
    axes = len(kernel_size)
    if counts.ndim != axes + 1 or len(output_size) != axes:
        raise ModelError(
            f"expected counts [C, *space] and an output size with {axes} space axes, as the kernel "
            f"has, got counts {tuple(counts.shape)} and output size {tuple(output_size)}"
        )
    steps, pads, gaps = (_per_axis(v, axes) for v in (stride, padding, dilation))
    reads = counts
    for axis in range(axes):
        # Axis 1 is the next space axis; its kernel axis is appended, so the order is kept.
        offsets = [tap * gaps[axis] - pads[axis] for tap in range(kernel_size[axis])]
        taps = [_strided_sum(reads, o, steps[axis], output_size[axis]) for o in offsets]
        reads = torch.stack(taps, dim=-1)
    return reads


def transposed_reads(
    counts: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    output_size: Sequence[int],
) -> Tensor:
    """Return `conv_reads` of a transposed convolution: the inputs whose product lies in the output.

    A kernel position sends the input at p to `stride p - padding + dilation position`, which is
    cropped to the output.
    """
    axes = len(kernel_size)
    steps, pads, gaps = (_per_axis(v, axes) for v in (stride, padding, dilation))
    reads = counts
    for axis in range(axes):
        taps = []
        for tap in range(kernel_size[axis]):
            shift = pads[axis] - tap * gaps[axis]
            first = max(0, -(-shift // steps[axis]))
            last = (output_size[axis] - 1 + shift) // steps[axis]
            taps.append(reads[:, first : max(first, last + 1)].sum(1))
        reads = torch.stack(taps, dim=-1)
    return reads


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _strided_sum(counts: Tensor, offset: int, stride: int, outputs: int) -> Tensor:
    """Sum axis 1 over the positions `offset + stride * output` that lie inside it."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (counts.shape[1] - 1 - offset) // stride)
    if last < first:
        return torch.zeros_like(counts[:, 0])
    return counts[:, offset + first * stride : offset + last * stride + 1 : stride].sum(1)


def conv_fan_out(weight: Tensor, groups: int = 1) -> Tensor:
    """Return the number of live (non-zero) weights at each kernel position of each input channel.

    From `[C_out, C_in / groups, *kernel]` to `[C_in, *kernel]` int64; also for a linear layer.
    """
    live = weight != 0
    grouped = live.reshape(groups, -1, *live.shape[1:]).sum(1)
    return grouped.reshape(-1, *live.shape[2:])


def weight_costs(weight: Tensor, operands: Tensor, *, transposed: bool = False) -> Tensor:
    """Return the SynOps of every weight, which broadcasts to the weight; the sum is the layer's.

    Args:
        weight: `[C_out, C_in / groups, *kernel]`, `[F_out, F_in]`, or of a transposed convolution
            `[C_in, C_out / groups, *kernel]`; only its shape matters.
        operands: non-zero operands that each kernel position of each input channel reads,
            `[C_in, *kernel]` or `[F_in]`.
        transposed: whether the weight is that of a transposed convolution.

    Raises:
        ModelError: shapes do not fit.

    Source: method, section 9.1.
    """
    outputs, inputs = weight.shape[:2]
    fits = (
        operands.shape[1:] == weight.shape[2:]
        and len(operands) % (outputs if transposed else inputs) == 0
    )
    if not fits:
        raise ModelError(
            f"expected operands of each input channel and kernel position of a weight of shape "
            f"{tuple(weight.shape)}, got shape {tuple(operands.shape)}"
        )
    if transposed:
        return operands.unsqueeze(1)
    groups = len(operands) // inputs
    by_group = operands.reshape(groups, inputs, *operands.shape[1:])
    return by_group if groups == 1 else by_group.repeat_interleave(outputs // groups, 0)


def synops(reads: Tensor, weight: Tensor, groups: int = 1) -> int:
    """Return the synaptic operations of a convolution or linear layer, exactly.

    Args:
        reads: `[C_in, *kernel]` integers, from `conv_reads`; for a linear layer `[F_in]`: non-zero
            operands per feature, summed over samples and steps.
        weight: `[C_out, C_in / groups, *kernel]` or `[F_out, F_in]`; zeros are skipped.
        groups: Of the convolution.

    Raises:
        ModelError: Reads are not integers, or shapes do not fit.
    """
    fan_out = conv_fan_out(weight, groups)
    if reads.is_floating_point() or reads.shape != fan_out.shape:
        raise ModelError(
            f"expected integer counts with {len(fan_out)} channels, shaped {tuple(fan_out.shape)}, "
            f"for a weight of shape {tuple(weight.shape)}, got {reads.dtype} {tuple(reads.shape)}"
        )
    return int((reads.long() * fan_out).sum())


def is_spikes(x: Tensor) -> bool:
    """Return whether all values are 0 or, but for rounding, 1 or -1: they add or subtract a weight.

    A spike that fires straight through, `spike + u - u.detach()`, is 1 with the rounding of `u`.

    Source: Yik et al., NeuroBench, whose ACs are the operations on operands of 0, 1 and -1.
    """
    return not bool(((x != 0) & ((x.abs() - 1).abs() > ROUNDING)).any())


def matmul_synops(left: Tensor, right: Tensor) -> Tensor:
    """Return the terms of a product whose two factors are not zero, exactly (float64, below 2^53).

    Args:
        left: `[batch, n, k]`.
        right: `[batch, k, m]`; a batch of 1 is the same for all.

    Returns:
        The sum over batch and k of (non-zeros of column k on the left) x (of row k on the right).
    """
    columns = (left != 0).sum(1, dtype=torch.float32).double()
    rows = (right != 0).sum(2, dtype=torch.float32).double()
    return (columns * rows).sum()


def dense_macs(weight_shape: Sequence[int], output_size: Sequence[int] = ()) -> int:
    """Return the multiply-accumulates of one time step of one sample: weights x output positions.

    Zeros and padding count. The shape is `(C_out, C_in / groups, *kernel)` or `(F_out, F_in)`; a
    linear layer has no output positions.
    """
    return math.prod(weight_shape) * math.prod(output_size)


def energy_nj(macs: float, acs: float) -> float:
    """Return modelled energy in nJ: `MAC_PJ` per MAC and `AC_PJ` per AC, without memory.

    A model (45 nm, fp32), not a measurement.
    """
    return (MAC_PJ * macs + AC_PJ * acs) / 1000


def operation_nj(*, multiplies: bool) -> float:
    """Return the modelled energy of one synaptic operation in nJ, see `energy_nj`."""
    return energy_nj(1, 0) if multiplies else energy_nj(0, 1)


def training_flops(macs: int, samples: int, *, density: float | None = None) -> float:
    """Return the FLOPs of training steps that see `samples` samples at one density.

    Dense: 2 x MACs x 3, for forward pass, input gradient and weight gradient. Sparse-aware:
    forward pass and input gradient scale with the density, the weight gradient stays dense.
    A training run costs the sum over its steps, plus `scoring_flops`.

    Args:
        macs: Dense MACs of one sample over all T steps.
        samples: Batch size x steps.
        density: Live / prunable weights, in [0, 1]. None: the dense figure.

    Raises:
        ConfigError: A density outside [0, 1].

    Source: method, section 6.
    """
    return 2.0 * macs * samples * (2 * _density_factor(density) + 1)


def scoring_flops(macs: int, samples: int, *, density: float | None = None) -> float:
    """Return the FLOPs of forward passes made only to score (see `training_flops`).

    Raises:
        ConfigError: a density outside [0, 1].
    """
    return 2.0 * macs * samples * _density_factor(density)


def _density_factor(density: float | None) -> float:
    if density is None:
        return 1.0
    if not 0 <= density <= 1:
        raise ConfigError(f"expected a density in [0, 1], or None for dense, got {density}")
    return density
