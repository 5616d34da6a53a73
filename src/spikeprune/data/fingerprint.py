"""The fingerprint of data: digests by which a later process sees that samples were replaced."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from spikeprune.data.digests import BLOCKS, Digest, combined, digest_of, spaced
from spikeprune.data.loader import Loader
from spikeprune.data.loader_digests import of_loader
from spikeprune.data.types import Data

LIMIT = 256 << 20
"""Bytes of samples in memory that are read of a part; of a larger one evenly spaced samples are."""
_ROLES = {"train": "training", "score": "scoring", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Fingerprint:
    """The digests of a data set by what they are of, such as `test inputs`."""

    parts: Mapping[str, Digest | str]  # a text is compared as it is
    left_out: tuple[str, ...] = ()  # what was not compared, in words

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        plain = {n: p if isinstance(p, str) else asdict(p) for n, p in self.parts.items()}
        return {"parts": plain, "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        parts = {n: p if isinstance(p, str) else Digest(**p) for n, p in plain["parts"].items()}
        return cls(parts, tuple(plain["left_out"]))


def fingerprint(data: Data) -> Fingerprint:
    """Return the fingerprint of data; a second one of unchanged data is equal.

    Of samples in memory the labels and the stored inputs count, up to `LIMIT` bytes a part. Of a
    user's own loaders count the first test and validation batches, and evenly spaced items of every
    data set that can be indexed. All is drawn twice from the same seeds, and what differs is left
    out. The global random generators, and those that loaders and data sets hold, stay as they were.
    """
    info = data.info
    parts: dict[str, Digest | str] = {
        "classes": ", ".join(info.classes),
        "shape": f"{info.kind} {list(info.shape)}",
    }
    left_out: list[str] = []
    for role, name in _ROLES.items():
        batches = getattr(data, role)
        if role == "score" and (isinstance(batches, Loader) or batches is data.train):
            continue  # the training samples once more
        if isinstance(batches, Loader):
            parts |= _in_memory(batches, name)
        else:
            found, missing = of_loader(batches, name, draws=role != "train")
            parts |= found
            left_out += missing
    return Fingerprint(parts, tuple(left_out))


def agreeing(one: Fingerprint, other: Fingerprint) -> Fingerprint:
    """Return what two fingerprints share; what differs is left out."""
    parts = {name: part for name, part in one.parts.items() if other.parts.get(name) == part}
    differ = [n for n in one.parts if n not in parts]
    words = [f"the {name}, because two calls of the user's function differ" for name in differ]
    return Fingerprint(parts, (*one.left_out, *words))


def changed_parts(old: Fingerprint, new: Fingerprint) -> list[str]:
    """Return in words which parts differ; what one of the two left out is not compared."""
    return [
        f"the {name} changed{_extent(name, before, after)}"
        for name, before in old.parts.items()
        if (after := new.parts.get(name)) is not None and before != after
    ]


def _extent(name: str, old: Digest | str, new: Digest | str) -> str:
    """Return how much of a part changed, as `: 3 of 400 samples`."""
    unit = "batches" if name.endswith("batches") else "samples"
    if isinstance(old, str) or isinstance(new, str):
        return f": {old} there, {new} now"
    if old.of != new.of:
        return f": {old.of:,} {unit} there, {new.of:,} now"
    if old.compared != new.compared:
        return ""
    before, after = _split(old.blocks), _split(new.blocks)
    differ = sum(one != other for one, other in zip(before, after, strict=True))
    sampled = "" if old.compared == old.of else f" (of {old.of:,}, {old.compared:,} are compared)"
    if len(before) == old.compared:
        return f": {differ} of {old.compared:,} {unit}{sampled}"
    return f": in {differ:,} of {len(before):,} blocks of {unit}{sampled}"


def _split(blocks: str) -> list[str]:
    return [blocks[start : start + 8] for start in range(0, len(blocks), 8)]


def _in_memory(loader: Loader, name: str) -> dict[str, Digest | str]:
    part, index = loader.stored
    size = part.images[:1].nbytes
    chosen = index[spaced(len(index), max(1, LIMIT // max(1, size)))]
    return {
        f"{name} inputs": _digest_rows(part.images, chosen, of=len(index)),
        f"{name} labels": _digest_rows(part.labels, index, of=len(index)),
    }


def _digest_rows(rows: Tensor, index: Tensor, *, of: int) -> Digest:
    return combined((digest_of(rows[block]) for block in _blocks(index)), len(index), of=of)


def _blocks(index: Tensor) -> Sequence[Tensor]:
    return torch.split(index, -(-len(index) // BLOCKS)) if len(index) else ()
