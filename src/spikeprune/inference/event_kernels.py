"""The loops of event-driven inference, compiled by numba; each fills arrays that it is given.

All arrays are contiguous. Every kernel works on a range of output channels or planes, releases the
interpreter's lock and starts no threads, so that nothing competes with PyTorch's. Sums may be fused
(a * b + c rounded once) but are never reordered; the neuron's arithmetic is not even fused.
"""

from typing import Any

import numba as nb
import numpy as np


def _jit(**options: Any) -> Any:
    """Return numba's decorator; compiled code is kept on disk if a folder can be written."""

    def decorate(function: Any) -> Any:
        common = {"nogil": True, "error_model": "numpy", **options}
        try:
            return nb.njit(cache=True, **common)(function)
        except RuntimeError:  # there is no such folder: every process compiles
            return nb.njit(**common)(function)

    return decorate


_fused = _jit(fastmath={"contract"})
_exact = _jit()


@_fused
def unfold(x: Any, where: Any, padded: Any, part: Any) -> None:
    """Copy a part of the channels of `x` `[N, C, H, W]` into `padded`, whose margins are 0.

    `where` is (pad_y, pad_x, stride_y, stride_x, H', W'). `padded` is
    `[C, stride_y, stride_x, H', N, W']`: inputs a stride apart become adjacent, so that every
    weight reads one run.
    """
    pad_y, pad_x, stride_y, stride_x, height, width = where
    rows = x.shape[0]
    plane = height * rows * width
    for c in range(part[0], part[1]):
        for n in range(rows):
            for y in range(x.shape[2]):
                q = y + pad_y
                phase = (c * stride_y + q % stride_y) * stride_x
                start = phase * plane + (q // stride_y * rows + n) * width
                given = x[n, c, y]
                if stride_x == 1:
                    taken = padded[start + pad_x :][: len(given)]
                    for i in range(len(given)):
                        taken[i] = given[i]
                else:
                    for i in range(len(given)):
                        p = i + pad_x
                        padded[start + p % stride_x * plane + p // stride_x] = given[i]


@_fused
def lanes(padded: Any, table: Any, out: Any, part: Any) -> None:
    """Write a part of the output channels: live weights, eight at a time, times runs of inputs.

    `table` is (starts per output channel, offset and value of each live weight, bias, width of a
    row of `padded`); `out` is `[N, C, H, W]`.
    """
    starts, offsets, values, bias, width = table
    rows, _, height, breadth = out.shape
    # Whole vectors: a remainder would be computed one by one. `padded` is long enough.
    size = np.uint64((height * rows * width - (width - breadth) + 15) // 16 * 16)
    run = np.empty(size, out.dtype)
    for c in range(part[0], part[1]):
        run[:] = bias[c]
        i, end = starts[c], starts[c + 1]
        while i + 8 <= end:
            a, w = offsets[i : i + 8], values[i : i + 8]
            a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
            for k in range(size):
                low = w0 * padded[a0 + k] + w1 * padded[a1 + k]
                low += w2 * padded[a2 + k] + w3 * padded[a3 + k]
                high = w4 * padded[a4 + k] + w5 * padded[a5 + k]
                high += w6 * padded[a6 + k] + w7 * padded[a7 + k]
                run[k] += low + high
            i += 8
        for j in range(i, end):
            weight, start = values[j], offsets[j]
            for k in range(size):
                run[k] += weight * padded[start + k]
        for y in range(height):
            for n in range(rows):
                given, taken = run[(y * rows + n) * width :], out[n, c, y]
                for i in range(breadth):
                    taken[i] = given[i]


@_fused
def collect(x: Any, where: Any, breadth: int, spikes: Any) -> None:
    """List the non-zero values ("spikes") of `x` `[N, C, H, W]`.

    `spikes` is (row of the weight table, place in the accumulator, value, each `[N, C H W]`, and
    their number `[N]`); `where` is that of `unfold`, `breadth` the accumulator's.
    """
    pad_y, pad_x, stride_y, stride_x, _, _ = where
    table_rows, places, values, counts = spikes
    for n in range(x.shape[0]):
        count = 0
        for c in range(x.shape[1]):
            for y in range(x.shape[2]):
                q = y + pad_y
                phase = (c * stride_y + q % stride_y) * stride_x
                place = q // stride_y * breadth
                for i in range(x.shape[3]):
                    # Always written, but counted only if not 0: no branch to mispredict.
                    p = i + pad_x
                    table_rows[n, count] = phase + p % stride_x
                    places[n, count] = place + p // stride_x
                    values[n, count] = x[n, c, y, i]
                    count += x[n, c, y, i] != 0
        counts[n] = count


@_fused
def scatter(spikes: Any, table: Any, out: Any, part: Any) -> None:
    """Write the output channels of some parts: every spike times the live weights of its channel.

    `table` is (starts `[rows, parts + 1]`, offset and value of each live weight, first channel of
    every part, bias, accumulator). The accumulator is (sums `[C, H', W']` of one n, margins of y
    and x); thanks to the margins no weight needs a check of its range.
    """
    rows, places, amplitudes, counts = spikes
    starts, offsets, values, channels, bias, accumulator = table
    sums, margin_y, margin_x = accumulator
    first, last = part
    flat = sums.reshape(-1)
    for n in range(len(counts)):
        for c in range(channels[first], channels[last]):
            sums[c] = bias[c]
        for e in range(counts[n]):
            row, place, spike = rows[n, e], np.uint64(places[n, e]), amplitudes[n, e]
            for i in range(starts[row, first], starts[row, last]):
                flat[place + np.uint64(offsets[i])] += spike * values[i]
        for c in range(channels[first], channels[last]):
            for y in range(out.shape[2]):
                given, taken = sums[c, y + margin_y, margin_x:], out[n, c, y]
                for i in range(out.shape[3]):
                    taken[i] = given[i]


@_exact
def _charge(x: Any, v: Any, h: Any, kind: Any) -> None:
    """Write the potentials before the reset; `kind` as in `fire`."""
    _, reset, leak, leaks, divides, decay_input, _ = kind
    # One loop for each case: a branch inside the loop would prevent vector instructions.
    if not leaks:
        for i in range(len(h)):
            h[i] = v[i] + x[i]
    elif decay_input and divides:
        for i in range(len(h)):
            h[i] = (x[i] - (v[i] - reset)) / leak + v[i]
    elif decay_input:
        for i in range(len(h)):
            h[i] = (x[i] - (v[i] - reset)) * leak + v[i]
    elif divides:
        for i in range(len(h)):
            h[i] = v[i] - (v[i] - reset) / leak + x[i]
    else:
        for i in range(len(h)):
            h[i] = v[i] - (v[i] - reset) * leak + x[i]


@_exact
def fire(sequences: Any, v: Any, kind: Any, part: Any) -> None:
    """Run a part of the neurons through time; `v` `[n]` goes from V_0 to V_T.

    `sequences` is (input, spikes), each `[T, n]`; `kind` is (threshold, reset, leak, leaks,
    divides, decay_input, soft); operations and their order are those of `neurons.lif`.
    """
    threshold, reset, _, _, _, _, soft = kind
    x, spikes = sequences
    first, last = part
    h, state = np.empty(last - first, x.dtype), v[first:last]
    for t in range(x.shape[0]):
        taken = spikes[t, first:last]
        _charge(x[t, first:last], state, h, kind)
        for i in range(len(h)):
            taken[i] = h[i] >= threshold
        if soft:
            for i in range(len(h)):
                state[i] = h[i] - taken[i] * threshold
        else:
            for i in range(len(h)):
                state[i] = (h[i] - taken[i] * h[i]) + taken[i] * reset


@_exact
def max_pool(x: Any, window: Any, out: Any, part: Any) -> None:
    """Write a part of the planes of the max pool of `x` `[n, H, W]`.

    `window` is (size_y, size_x, stride_y, stride_x, pad_y, pad_x).
    """
    size_y, size_x, stride_y, stride_x, pad_y, pad_x = window
    height, width = x.shape[1], x.shape[2]
    # One row at a time: down the window first, then along it, between margins of -inf.
    row = np.full(width + 2 * pad_x, -np.inf, x.dtype)
    inner = row[pad_x : pad_x + width]
    for n in range(part[0], part[1]):
        for y in range(out.shape[1]):
            top = y * stride_y - pad_y
            inner[:] = x[n, max(top, 0)]
            for a in range(max(top, 0) + 1, min(top + size_y, height)):
                given = x[n, a]
                for i in range(width):
                    inner[i] = given[i] if given[i] > inner[i] else inner[i]
            best = out[n, y]
            for i in range(len(best)):
                best[i] = row[i * stride_x]
            for b in range(1, size_x):
                for i in range(len(best)):
                    other = row[i * stride_x + b]
                    best[i] = other if other > best[i] else best[i]
