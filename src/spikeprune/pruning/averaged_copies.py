"""Copies that average the weights of a net (EMA): masks do not reach them, dead weights live on."""

import gc
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spikeprune.errors import ModelError
from spikeprune.science.masks import Mask, apply_

_ADVICE = "call pruner.apply_to(ema.module) before you use, save or evaluate it"


@torch.no_grad()
def apply_to(copy: nn.Module, mask: Mask) -> None:
    """Set the dead weights of a copy of a net to 0, in place.

    Raises:
        ModelError: the copy has other parameters, or other shapes.
    """
    tensors = dict(_inner(copy).named_parameters(remove_duplicate=False))
    strange = [n for n, live in mask.items() if n not in tensors or tensors[n].shape != live.shape]
    if strange:
        raise ModelError(
            f"expected a copy of the net that is pruned, but {len(strange)} of {len(mask)} pruned "
            f"tensors are missing or of another shape ({', '.join(strange[:3])}); copy the net "
            "before it is cut"
        )
    apply_(tensors, Mask({name: live.to(tensors[name].device) for name, live in mask.items()}))


def notes_on_averages(model: nn.Module, mask: Mask) -> tuple[str, ...]:
    """Return a note if an `AveragedModel` of this net has dead weights that are not 0.

    Copies of other kinds cannot be told from other nets.
    """
    alive = sum(_alive(copy, mask) for copy in _averages(model, mask))
    if not alive:
        return ()
    return (f"an AveragedModel of this net has {alive} dead weights that are not 0: {_ADVICE}",)


def _averages(model: nn.Module, mask: Mask) -> Iterator[Mapping[str, Tensor]]:
    """Yield the parameters of every averaged copy that is in memory."""
    shapes = {name: live.shape for name, live in mask.items()}
    # Every object refers to its class; a loop over all objects takes three times as long.
    for found in gc.get_referrers(AveragedModel, *_subclasses(AveragedModel)):
        if issubclass(type(found), AveragedModel) and type(found.module) is type(model):
            tensors = dict(found.module.named_parameters(remove_duplicate=False))
            if shapes.items() <= {n: t.shape for n, t in tensors.items()}.items():
                yield tensors


def _subclasses(kind: type[nn.Module]) -> Iterator[type[nn.Module]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _alive(tensors: Mapping[str, Tensor], mask: Mask) -> int:
    return sum(
        int(tensors[name].detach().masked_fill(live.to(tensors[name].device), 0).count_nonzero())
        for name, live in mask.items()
    )


def _inner(copy: nn.Module) -> nn.Module:
    return copy.module if isinstance(copy, AveragedModel) else copy
