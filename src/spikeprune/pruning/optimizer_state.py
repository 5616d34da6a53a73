"""Optimiser state of weights that died or came back (method, section 3, step 5)."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from spikeprune.science.masks import silence_
from spikeprune.science.memory_order import live_count, pieces

# Running means of squared gradients: a zero here, with a late step count, would make the first
# updates of a returned weight several times the learning rate.
SECOND_MOMENTS = frozenset({"exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum"})

_NAMES = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax",
    "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
)  # fmt: skip
ZERO_KEEPING = frozenset(getattr(torch.optim, n) for n in _NAMES if hasattr(torch.optim, n))
"""Optimisers that leave a weight at exactly 0 while its gradient and its first moments are 0.

Their update is elementwise and proportional to gradient, moment or weight. Only these very classes
count: a derived class or a wrapper may do anything. Optimisers that mix the entries of a tensor
(Muon) or keep a history (LBFGS) are left out.
"""


def _shaped(optimizer: torch.optim.Optimizer, like: Tensor) -> Iterator[tuple[str, Tensor]]:
    for key, value in optimizer.state.get(like, {}).items():
        if isinstance(value, Tensor) and value.shape == like.shape:
            yield key, value


def reset_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    kept: Mapping[str, Tensor],
) -> None:
    """Reset the optimiser's state of every weight outside `kept`.

    First moments and momentum become 0; second moments become the mean over the tensor's kept
    weights (over all of them when none is kept).
    """
    for name, parameter in parameters.items():
        keep = kept[name].to(parameter.device)
        for key, value in _shaped(optimizer, parameter):
            _fill(value, keep, mean=key in SECOND_MOMENTS)


def forget_directions(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    live: Mapping[str, Tensor],
) -> None:
    """Set first moments and momentum of dead weights to 0, and leave all else."""
    for name, parameter in parameters.items():
        for key, value in _shaped(optimizer, parameter):
            if key not in SECOND_MOMENTS:
                silence_(value, live[name])


def _fill(value: Tensor, keep: Tensor, *, mean: bool) -> None:
    """Overwrite a state tensor outside of `keep`: by the mean over `keep`, or by 0."""
    count = live_count(keep)
    if mean and not count:
        value.fill_(value.float().mean())
    elif not math.isfinite(float(value.sum())):  # a product with 0 would not get rid of it
        value.masked_fill_(~keep, float(value[keep].float().mean()) if mean else 0.0)
    else:
        silence_(value, keep)
        if mean:
            fill = float(value.sum(dtype=torch.float64)) / count
            for part, kept in pieces(value, keep):
                part.add_((~kept).to(value.dtype), alpha=fill)
