"""Digests of what a user's own loader hands out, as far as it hands out the same again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.data.digests import BLOCKS, Digest, combined, digest_of, spaced
from spikeprune.data.random_states import SEED, seed_all, unmoved
from spikeprune.data.types import Batches

_LIMIT = 64 << 20  # bytes of batches, each drawn twice
_ITEMS = 200  # of a data set behind a loader, each read twice
_WHY = "which cannot be read twice alike from the same seeds"


def of_loader(
    batches: Batches, name: str, *, draws: bool
) -> tuple[dict[str, Digest | str], list[str]]:
    """Return digests of a user's own loader, and in words what was left out.

    The first batches count if a pass may be drawn from it (`draws`), and evenly spaced items of its
    data set if that can be indexed. All is read twice; what differs, as random augmentation by a
    generator of the data set's own, is left out.
    """
    given = batches.given if isinstance(batches, CheckedLoader) else batches
    items = getattr(given, "dataset", None)
    parts: dict[str, Digest | str | None] = {}
    with unmoved(given):
        parts[f"number of {name} batches"] = f"{len(batches)}"
        indexed = hasattr(items, "__getitem__") and hasattr(items, "__len__")
        if draws or isinstance(given, Sequence):
            parts[f"{name} batches"] = _same_twice(lambda: _digest_batches(batches))
        elif not indexed:
            parts[f"{name} samples"] = None
        if indexed:
            parts[f"{name} inputs"], parts[f"{name} labels"] = _digest_items(items, given)
    left_out = [f"the {what}, {_WHY}" for what, digest in parts.items() if digest is None]
    return {what: digest for what, digest in parts.items() if digest is not None}, left_out


def _same_twice(make: Callable[[], Digest]) -> Digest | None:
    """Make a digest twice from the same seeds; return it if both are equal."""
    found = []
    for _ in range(2):
        seed_all()
        found.append(make())
    return found[0] if found[0] == found[1] else None


def _digest_batches(batches: Batches) -> Digest:
    """Return the digest of the first batches, up to the limit in bytes."""
    digests, size = list[str](), 0
    for x, y in batches:
        digests.append(digest_of([x, y]))
        size += x.nbytes
        if size >= _LIMIT or len(digests) == BLOCKS:
            break
    return combined(digests, len(digests), of=len(batches))


def _digest_items(items: Any, loader: Any) -> list[Digest | None]:
    """Return digests of the inputs and of the labels of evenly spaced items."""
    chosen = spaced(len(items), _ITEMS).tolist()
    one, other = ([_pair(i) for i in _read_items(items, chosen, loader)] for _ in range(2))
    if not one or len(one) != len(other):
        return [None, None]
    return [
        combined([pair[k] for pair in one], len(one), of=len(items))
        if all(a[k] and a[k] == b[k] for a, b in zip(one, other, strict=True))
        else None
        for k in (0, 1)
    ]


def _pair(item: Any) -> tuple[str, str]:
    """Return the digests of the input and of all else of an item; empty for unknown values."""
    if isinstance(item, tuple | list) and len(item) >= 2:
        return digest_of(item[0]), digest_of(list(item[1:]))
    return digest_of(item), digest_of(None)


def _read_items(items: Any, chosen: Sequence[int], loader: Any) -> list[Any]:
    """Read items from a fixed seed, in a worker process where the loader has some.

    A data set may open its files at the first read, in the process that reads.
    """
    seed_all()
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
            generator=torch.Generator().manual_seed(SEED),
        )
        return list(reader)
    except Exception:  # whatever a user's data set raises; training will show it
        return []


def _as_it_is(item: Any) -> Any:
    return item
