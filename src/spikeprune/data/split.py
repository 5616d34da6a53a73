"""The split into training and validation samples: fixed, stratified, equal in all runs."""

from typing import NamedTuple

import torch
from torch import Tensor

# No option: results of different runs compare only on equal splits.
SPLIT_SEED = 20_240_607


class Split(NamedTuple):
    """Indices into the training data, disjoint, each in rising order."""

    train: Tensor
    validation: Tensor


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """Return a random order `[N]` of the samples with `labels` `[N]` whose prefixes are stratified.

    Each class is shuffled and spread evenly over the order. Any prefix holds every class in
    proportion, to within `(1 + K n / N) / 2` samples for n of N samples in one of K classes, which
    is one sample for classes of equal size.
    """
    generator = torch.Generator().manual_seed(seed)
    position = torch.empty(len(labels), dtype=torch.float64)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        spread = torch.arange(len(members), dtype=torch.float64)
        position[shuffled] = (spread + 0.5) / len(members)
    return position.argsort(stable=True)


def split(labels: Tensor, validation: float, limit: int | None = None) -> Split:
    """Hold out a fraction `validation` of the training data; keep `limit` samples of the rest.

    The held-out set does not depend on the seed of a run (method section 5). A limit shrinks both
    parts in proportion, and a smaller limit gives subsets of those of a larger one.
    """
    order = stratified_order(labels, SPLIT_SEED)
    held = round(validation * len(order))
    held_out, rest = order[:held], order[held:]
    if limit is not None and limit < len(rest):
        held_out = held_out[: round(held * limit / len(rest))]
        rest = rest[:limit]
    return Split(rest.sort().values, held_out.sort().values)
