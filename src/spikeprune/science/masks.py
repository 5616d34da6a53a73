"""Masks: bool tensors of live weights by parameter name, outside the model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from spikeprune.errors import DataError, ModelError
from spikeprune.science.memory_order import live_count, pieces


@final
class Mask(Mapping[str, Tensor]):
    """Bool tensors by parameter name, True where a weight is live. Do not write to them.

    Raises:
        ModelError: A tensor is not bool.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype != torch.bool:
                raise ModelError(f"expected a bool mask for {name!r}, got {tensor.dtype}")
        self._tensors = dict(tensors)
        self._counts: dict[str, tuple[int, int]] | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mask)
            and self.keys() == other.keys()
            and all(torch.equal(self[name], other[name]) for name in self)
        )

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: "Mask") -> "Mask":
        """Return what is live in both, by the same names."""
        return Mask({name: live & other[name] for name, live in self.items()})

    def __repr__(self) -> str:
        return f"Mask({len(self)} tensors, {self.live} of {self.total} live)"

    @property
    def live(self) -> int:
        """Number of live weights."""
        return sum(live for live, _ in self.per_tensor().values())

    @property
    def total(self) -> int:
        """Number of weights, live and dead."""
        return sum(tensor.numel() for tensor in self.values())

    @property
    def density(self) -> float:
        """Live / all weights, in [0, 1]; 1 for a mask of nothing."""
        return self.live / self.total if self.total else 1.0

    def per_tensor(self) -> dict[str, tuple[int, int]]:
        """Return (live, total) by name."""
        if self._counts is None:
            self._counts = {n: (live_count(t), t.numel()) for n, t in self.items()}
        return self._counts


@torch.no_grad()
def silence_(tensor: Tensor, live: Tensor) -> None:
    """Multiply a tensor by its mask, in place, without a float copy of the mask.

    NaN stays NaN: a training that has diverged must show.

    Raises:
        ModelError: The shapes differ.
    """
    if tensor.shape != live.shape:
        raise ModelError(f"expected shape {tuple(live.shape)}, got {tuple(tensor.shape)}")
    live = live.to(tensor.device)
    if tensor.device.type != "cpu":  # one kernel converts and multiplies
        tensor.mul_(live)
        return
    # A product with bool is ten times as slow as converting bytes in cache and multiplying floats.
    for values, alive in pieces(tensor, live.view(torch.uint8)):
        values.mul_(alive.to(tensor.dtype))


@torch.no_grad()
def leaking(tensor: Tensor, live: Tensor) -> bool:
    """Return whether a dead entry of a tensor is not 0."""
    for values, alive in pieces(tensor, live.to(tensor.device)):
        if live_count((values != 0).bitwise_and_(~alive)):
            return True
    return False


def apply_(tensors: Mapping[str, Tensor | None], mask: Mask) -> None:
    """Set the dead entries of parameters, or of their gradients, to 0, in place.

    None (a gradient that does not exist) is skipped, and so are names that the mask lacks.

    Raises:
        ModelError: A name of the mask is missing or a shape does not fit.
    """
    missing = mask.keys() - tensors.keys()
    if missing:
        raise ModelError(
            f"the mask names parameters that were not given: {', '.join(sorted(missing))}"
        )
    for name, live in mask.items():
        tensor = tensors[name]
        if tensor is not None:
            silence_(tensor, live)


def _paired(a: Mask, b: Mask) -> list[tuple[Tensor, Tensor]]:
    if a.keys() != b.keys():
        raise ModelError(
            f"expected two masks of the same parameters, got {sorted(a)} and {sorted(b)}"
        )
    return [(a[name], b[name]) for name in a]


def _common(a: Mask, b: Mask) -> int:
    return sum(live_count(x & y) for x, y in _paired(a, b))


def overlap(a: Mask, b: Mask) -> float:
    """Return the Jaccard index |a and b| / |a or b| of two masks, 1 if both are empty.

    Raises:
        ModelError: The masks are of different parameters.
    """
    common = _common(a, b)
    union = a.live + b.live - common
    return common / union if union else 1.0


def distance(a: Mask, b: Mask) -> float:
    """Return the share of the entries in which two masks differ, in [0, 1]; 0 for masks of nothing.

    Raises:
        ModelError: The masks are of different parameters.

    Source: You et al., 2020 (normalised Hamming distance).
    """
    different = sum(live_count(x ^ y) for x, y in _paired(a, b))
    return different / a.total if a.total else 0.0


def expected_overlap(a: Mask, b: Mask) -> float:
    """Return the overlap expected of independent masks of these densities in every tensor.

    Independent masks with a and b live of n entries share a b / n on average; the result is the
    Jaccard index of these counts, summed over the tensors, 1 if both masks are empty.

    Raises:
        ModelError: The masks are of different parameters.
    """
    common = sum(
        int(x.count_nonzero()) * int(y.count_nonzero()) / max(x.numel(), 1)
        for x, y in _paired(a, b)
    )
    union = a.live + b.live - common
    return common / union if union else 1.0


def survival(regrown: Mask, kept_next: Mask | None) -> float | None:
    """Return the share of the regrown weights that the next event keeps.

    A weight that is dropped and regrown again does not count. None where the share is undefined:
    after the last event (`kept_next` is None), or when nothing was regrown.

    Raises:
        ModelError: The masks are of different parameters.

    Source: method, section 3 (the paper's Fig. 6, by its scripts).
    """
    if kept_next is None or not regrown.live:
        return None
    return _common(regrown, kept_next) / regrown.live


class Returned(NamedTuple):
    """Numbers of weights that an event regrew."""

    dropped_and_returned: int  # live before the event, dropped and regrown in it
    dead_and_returned: int  # dead before the event


def returned(before: Mask, regrown: Mask) -> Returned:
    """Split the regrown weights by whether they were live before the event; the two add up.

    Raises:
        ModelError: The masks are of different parameters.
    """
    dropped = _common(before, regrown)
    return Returned(dropped, regrown.live - dropped)


def pack(mask: Mask) -> dict[str, Tensor]:
    """Return eight entries a byte: uint8 `[ceil(numel / 8)]` by name, lowest bit first."""
    packed = {}
    for name, tensor in mask.items():
        flat = tensor.reshape(-1).to(torch.uint8)
        octets = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
        packed[name] = (octets << _bits(octets)).sum(1, dtype=torch.uint8)
    return packed


def unpack(packed: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> Mask:
    """Undo `pack`, given the shape of every mask by the same names.

    Raises:
        DataError: Names, types or lengths do not fit.
    """
    if packed.keys() != shapes.keys():
        raise DataError(f"expected packed masks of {sorted(shapes)}, got {sorted(packed)}")
    tensors = {}
    for name, shape in shapes.items():
        octets, size = packed[name], torch.Size(shape)
        if octets.dtype != torch.uint8 or octets.shape != (-(-size.numel() // 8),):
            raise DataError(
                f"the packed mask {name!r} does not fit shape {tuple(shape)}: "
                f"{octets.dtype} of shape {tuple(octets.shape)}; the file is damaged or foreign"
            )
        flat = (octets[:, None] >> _bits(octets)) & 1
        tensors[name] = flat.reshape(-1)[: size.numel()].view(size).bool()
    return Mask(tensors)


def _bits(like: Tensor) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
