"""Recordings of event cameras: reading them, and binning them into frames."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikeprune import limits
from spikeprune.errors import DataError

BINNINGS = ("duration", "count")
_BYTES = 5  # of one camera event

_Ints = npt.NDArray[np.int64]


class Recording(NamedTuple):
    """The n camera events of one recording, each array `[n]`."""

    x: _Ints
    y: _Ints
    polarity: _Ints  # 0 where the pixel became darker, 1 where brighter
    time: _Ints  # microseconds, rising


def read_recording(file: Path, height: int, width: int) -> Recording:
    """Read a recording in the format of N-MNIST.

    A camera event has five bytes: x, y, then 24 bits big-endian, of which the first is the polarity
    and the other 23 are microseconds (Orchard et al., "Converting static image datasets to spiking
    neuromorphic datasets using saccades", 2015).
    """
    limits.require_small(file, limits.RECORDING_BYTES, error=DataError)
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    if len(content) == 0 or len(content) % _BYTES:
        raise DataError(
            f"{file} is truncated: expected a multiple of {_BYTES} bytes, more than none, "
            f"got {len(content)}; fetch it again"
        )
    x, y, high, middle, low = content.reshape(-1, _BYTES).astype(np.int64).T
    if int(x.max()) >= width or int(y.max()) >= height:
        raise DataError(
            f"{file}: expected events on {width}x{height} pixels, got one at x up to "
            f"{int(x.max())} and y up to {int(y.max())}; is it an N-MNIST recording?"
        )
    time = (high & 0x7F) << 16 | middle << 8 | low
    order = np.argsort(time, kind="stable")
    return Recording(x[order], y[order], (high >> 7)[order], time[order])


def bin_recording(
    recording: Recording, time_steps: int, shape: tuple[int, int, int], *, binning: str = "duration"
) -> npt.NDArray[np.uint8]:
    """Return the counts of events, at least one, as uint8 `[T, 2, H, W]`, at most 255.

    `duration` cuts the time from the first to the last event into T equal parts; `count` gives
    every frame the same number of events, to within one. `shape` is `(2, H, W)`.
    """
    count = len(recording.time)
    if binning == "duration":
        elapsed = recording.time - recording.time[0]
        frame = elapsed * time_steps // (elapsed[-1] + 1)
    else:
        frame = np.arange(count, dtype=np.int64) * time_steps // count
    channels, height, width = shape
    plane = frame * channels + recording.polarity
    pixel = (plane * height + recording.y) * width + recording.x
    counts = np.bincount(pixel, minlength=time_steps * channels * height * width)
    return np.minimum(counts, 255).astype(np.uint8).reshape(time_steps, *shape)
