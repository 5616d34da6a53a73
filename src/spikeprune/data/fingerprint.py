"""The fingerprint of data: digests by which a later process sees that samples were replaced."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.data.loader import Loader
from spikeprune.data.types import Batches, Data

LIMIT = 256 << 20
"""Bytes of samples in memory that are read of a part; of a larger one evenly spaced samples are."""
_LIMIT_OF_BATCHES = 64 << 20  # bytes of batches of a user's own loader, each drawn twice
_ITEMS = 200  # of a data set behind a user's own loader, each read twice
_BLOCKS = 1024  # digests by which a change is counted
_SEED = 0
_ROLES = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Digest:
    """A digest of what was compared of some samples."""

    digest: str  # SHA-256 of the digests of all blocks, 32 hexadecimal digits
    compared: int  # number of samples that were read
    of: int | None  # number of samples that there are; None if that is not known
    blocks: str  # 8 hexadecimal digits for each of at most 1,024 blocks of neighbours


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
        if isinstance(batches, Loader):
            parts |= _in_memory(batches, name)
        else:
            found, missing = _of_loader(batches, name, draws=role != "train")
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
        f"the {name} changed{_extent(before, after)}"
        for name, before in old.parts.items()
        if (after := new.parts.get(name)) is not None and before != after
    ]


def _extent(old: Digest | str, new: Digest | str) -> str:
    """Return how much of a part changed, as `: 3 of 400 samples`."""
    if isinstance(old, str) or isinstance(new, str):
        return f": {old} there, {new} now"
    if old.of != new.of:
        return f": {_count(old.of)} samples there, {_count(new.of)} now"
    if old.compared != new.compared:
        return ""
    before, after = _split(old.blocks), _split(new.blocks)
    differ = sum(one != other for one, other in zip(before, after, strict=True))
    if len(before) == old.compared:
        return f": {differ} of {old.compared:,} samples" + _if_sampled(old)
    return f": in {differ:,} of {len(before):,} blocks of samples" + _if_sampled(old)


def _if_sampled(one: Digest) -> str:
    return "" if one.compared == one.of else f" (of {_count(one.of)}, {one.compared:,} are compared)"


def _count(number: int | None) -> str:
    return "an unknown number of" if number is None else f"{number:,}"


def _split(blocks: str) -> list[str]:
    return [blocks[start : start + 8] for start in range(0, len(blocks), 8)]


# -- samples in memory ----------------------------------------------------------------------------


def _in_memory(loader: Loader, name: str) -> dict[str, Digest | str]:
    part, index = loader.stored
    size = part.images[:1].nbytes
    chosen = index[_spaced(len(index), max(1, LIMIT // max(1, size)))]
    return {
        f"{name} inputs": _digest_rows(part.images, chosen, of=len(index)),
        f"{name} labels": _digest_rows(part.labels, index, of=len(index)),
    }


def _spaced(count: int, most: int) -> Tensor:
    """Return at most `most` evenly spaced positions out of `count`, int64."""
    if count <= most:
        return torch.arange(count)
    return torch.arange(most) * (count - 1) // max(1, most - 1)


def _digest_rows(rows: Tensor, index: Tensor, *, of: int) -> Digest:
    return _combined((_digest(rows[block]) for block in _blocks(index)), len(index), of=of)


def _blocks(index: Tensor) -> Iterable[Tensor]:
    return index.split(-(-len(index) // _BLOCKS)) if len(index) else ()


def _combined(digests: Iterable[str], compared: int, *, of: int | None) -> Digest:
    blocks = list(digests)
    whole = hashlib.sha256("".join(blocks).encode()).hexdigest()[:32]
    return Digest(whole, compared, of, "".join(block[:8] for block in blocks))


# -- a user's own loaders -------------------------------------------------------------------------


def _of_loader(
    batches: Batches, name: str, *, draws: bool
) -> tuple[dict[str, Digest | str], list[str]]:
    """Return the digests of a user's own loader, and what was left out."""
    given = batches.given if isinstance(batches, CheckedLoader) else batches
    items = getattr(given, "dataset", None)
    parts: dict[str, Digest | str] = {f"number of {name} batches": f"{len(batches)}"}
    left_out = []
    with unmoved(given):
        if draws or isinstance(given, Sequence):
            found = _same_twice(lambda: _digest_batches(batches))
            parts |= {f"{name} batches": found} if found else {}
            if found is None:
                left_out.append(f"the {name} batches, because two passes differ")
        if isinstance(items, Sequence) or _is_indexed(items):
            inputs, labels = _digest_items(items, given)
            parts |= {f"{name} inputs": inputs} if inputs else {}
            parts |= {f"{name} labels": labels} if labels else {}
            if inputs is None:
                left_out.append(f"the {name} inputs, because two reads of a sample differ")
        elif not draws and not isinstance(given, Sequence):
            left_out.append(
                f"the {name} samples, because their loader has no data set that can be indexed"
            )
    return parts, left_out


def _is_indexed(items: Any) -> bool:
    return hasattr(items, "__getitem__") and hasattr(items, "__len__")


def _same_twice(make: Callable[[], Digest | None]) -> Digest | None:
    """Make a digest twice from the same seeds; return it if both are equal."""
    found = []
    for _ in range(2):
        _seed()
        found.append(make())
    return found[0] if found[0] == found[1] else None


def _digest_batches(batches: Batches) -> Digest:
    """Return the digest of the first batches, up to the limit in bytes."""
    digests, samples, size = list[str](), 0, 0
    for x, y in batches:
        digests.append(_digest([x, y]))
        samples, size = samples + len(y), size + x.nbytes
        if size >= _LIMIT_OF_BATCHES or len(digests) == _BLOCKS:
            break
    # Number of samples: asking an iterable for it can take a pass over all.
    whole = len(digests) == len(batches)
    return _combined(digests, samples, of=samples if whole else None)


def _digest_items(items: Any, loader: Any) -> tuple[Digest | None, Digest | None]:
    """Return digests of the inputs and of the labels of evenly spaced items."""
    chosen = _spaced(len(items), _ITEMS).tolist()
    reads = [_read_items(items, chosen, loader) for _ in range(2)]
    if any(read is None for read in reads):
        return None, None
    one, other = ([_pair(item) for item in read or ()] for read in reads)
    inputs, labels = (
        _combined([pair[k] for pair in one], len(one), of=len(items))
        if all(a[k] and a[k] == b[k] for a, b in zip(one, other, strict=True))
        else None
        for k in (0, 1)
    )
    return inputs, labels


def _pair(item: Any) -> tuple[str, str]:
    """Return the digests of the input and of all else of an item; empty for unknown values."""
    if isinstance(item, tuple | list) and len(item) >= 2:
        return _digest(item[0]), _digest(list(item[1:]))
    return _digest(item), _digest(None)


def _read_items(items: Any, chosen: Sequence[int], loader: Any) -> list[Any] | None:
    """Read items from a fixed seed, in a worker process where the loader has some.

    A data set may open its files at the first read, in the process that reads.
    """
    _seed()
    try:
        if not isinstance(loader, DataLoader) or loader.num_workers == 0:
            return [items[number] for number in chosen]
        reader: DataLoader[Any] = DataLoader(
            items,
            batch_size=None,
            sampler=chosen,
            num_workers=1,
            collate_fn=_as_it_is,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=torch.Generator().manual_seed(_SEED),
        )
        return list(reader)
    except Exception:  # whatever a user's data set raises; training will show it
        return None


def _as_it_is(item: Any) -> Any:
    return item


def _seed() -> None:
    """Seed the global generators; not torch's of other devices, which would be restored late."""
    torch.default_generator.manual_seed(_SEED)
    random.seed(_SEED)
    np.random.seed(_SEED)


@contextmanager
def unmoved(loader: Any = None) -> Iterator[None]:
    """Give the global generators, and those that a loader holds, their states back afterwards."""
    held = list(_generators(loader, set()))
    states = [_state(one) for one in held]
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        for one, state in zip(held, states, strict=True):
            _restore(one, state)


def _generators(node: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the generators among the attributes of loaders, samplers, data sets and transforms."""
    if id(node) in seen or isinstance(node, Tensor | np.ndarray | str | bytes | type):
        return
    seen.add(id(node))
    if isinstance(node, torch.Generator | np.random.Generator | np.random.RandomState):
        yield node
    elif isinstance(node, random.Random):
        yield node
    elif isinstance(node, list | tuple) and len(node) <= _ITEMS:
        for value in node:
            yield from _generators(value, seen)
    elif isinstance(node, dict) and len(node) <= _ITEMS:
        for value in node.values():
            yield from _generators(value, seen)
    elif hasattr(node, "__dict__") and not isinstance(node, ModuleType):
        yield from _generators(vars(node), seen)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _digest(value: Any) -> str:
    """Return a SHA-256 of tensors, arrays, images and plain values; empty for anything else."""
    state = hashlib.sha256()
    return state.hexdigest() if _add(state, value) else ""


def _add(state: Any, value: Any) -> bool:
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous().numpy() if value.dtype != torch.bfloat16 else None
    if isinstance(value, np.ndarray) and value.dtype != object:
        state.update(f"{value.dtype} {value.shape}".encode())
        state.update(value.tobytes())
    elif isinstance(value, list | tuple):
        return all([_add(state, one) for one in value])
    elif isinstance(value, Mapping):
        return all([_add(state, pair) for pair in value.items()])
    elif isinstance(value, int | float | complex | str | bytes | np.generic | None):
        state.update(f"{type(value).__name__} {value!r}".encode())
    elif hasattr(value, "tobytes") and hasattr(value, "size"):  # an image of Pillow
        state.update(f"{value.size}".encode() + value.tobytes())
    else:
        return False
    return True
