"""Data parallel training: a net under DistributedDataParallel, and the net inside a wrapper."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from spikeprune.distributed.collectives import world_size
from spikeprune.errors import ModelError


class _Whole(nn.Module):
    """One forward over all time steps, which DistributedDataParallel takes as one forward."""

    def __init__(self, model: nn.Module, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._run = model, run

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)


def data_parallel(model: nn.Module, run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return `run` with gradients that are the mean over ranks. Collective.

    All ranks get rank 0's parameters and buffers. Afterwards each rank updates its own buffers, see
    `distributed.collectives.settle_buffers_`. A forward may leave parameters unused if they are the
    same in every step. `run` may call `model` any number of times.
    """
    if world_size() == 1:
        return run
    parameters = inspect.signature(DistributedDataParallel).parameters
    new = "forward_sync_buffers" in parameters  # the name of broadcast_buffers in newer releases
    options: dict[str, Any] = {
        "forward_sync_buffers" if new else "broadcast_buffers": False,
        "gradient_as_bucket_view": True,
        "static_graph": True,  # allows parameters that no forward uses
    }
    return DistributedDataParallel(_Whole(model, run), **options)


def _is_compiled(module: nn.Module) -> bool:
    # The class of torch._dynamo takes seconds to import.
    return type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None


def inner_model(model: nn.Module) -> nn.Module:
    """Return the net inside DistributedDataParallel, or the net itself; refuse other wrappers.

    Raises:
        ModelError: the net is compiled, copied or sharded.
    """
    compiled = next((n for n, m in model.named_modules() if _is_compiled(m)), None)
    if compiled is not None:
        raise ModelError(
            f"{compiled or 'the net'} is compiled by torch.compile, and compiled code skips the "
            "hooks by which spikes are seen and counted; give the net as it was before, train it "
            "uncompiled, and compile what `cut` returns"
        )
    if isinstance(model, DistributedDataParallel):
        model = model.module
        assert isinstance(model, nn.Module)
    if isinstance(model, DataParallel):
        raise ModelError(
            "expected a net or DistributedDataParallel, got DataParallel, whose copies cannot be "
            "observed; start one process per device with torchrun and DistributedDataParallel"
        )
    sharded = any(type(m).__name__ == "FullyShardedDataParallel" for m in model.modules())
    tensors = sys.modules.get("torch.distributed.tensor")  # DTensors exist only if it is imported
    if tensors is not None:
        sharded |= any(isinstance(p, tensors.DTensor) for p in model.parameters())
    if sharded:
        raise ModelError(
            "the parameters are sharded over processes, so that no process can rank all weights; "
            "use DistributedDataParallel"
        )
    return model


def inner_optimizer(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return the optimiser inside of a wrapper (Accelerate's, SAM's), or the optimiser itself."""
    for name in ("optimizer", "base_optimizer"):
        inner = getattr(optimizer, name, None)
        if isinstance(inner, torch.optim.Optimizer):
            return inner_optimizer(inner)
    return optimizer
