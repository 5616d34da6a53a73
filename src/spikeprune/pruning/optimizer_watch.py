"""The optimiser that a pruner was given must be the one that trains its parameters.

A pruner resets the optimiser's state of every weight that dies or comes back. An optimiser of other
tensors keeps the old momentum, which moves returned weights, and nothing else would show it.
"""

import weakref
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from spikeprune.distributed.data_parallel import inner_model, inner_optimizer
from spikeprune.errors import ConfigError, RunError

_SHOWN = 3  # names in a message


def require_held(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> tuple[str, ...]:
    """Refuse an optimiser without any of the trainable parameters that are pruned.

    Returns:
        A note that names those that it lacks, if it has only some: they may be added later.

    Raises:
        ConfigError: it has none; the message names them.
    """
    held = _held(optimizer)
    trained = {name: p for name, p in parameters.items() if p.requires_grad}
    missing = [name for name, p in trained.items() if id(p) not in held]
    if not missing:
        return ()
    names = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
    if len(missing) == len(trained):
        raise ConfigError(
            f"the optimiser holds none of the {len(trained)} tensors that are pruned ({names}): it "
            "is of another model, or was made before the model was moved or its weights replaced; "
            "make it of model.parameters(), then the Pruner"
        )
    return (f"the optimiser does not train {names}, of {len(trained)} tensors that are pruned",)


def require_in_place(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], live: Mapping[str, Tensor]
) -> None:
    """Refuse a model whose pruned parameters were replaced, or moved away from their masks.

    Raises:
        RunError: they were.
        ModelError: the model was compiled.
    """
    own = dict(inner_model(model).named_parameters(remove_duplicate=False))
    for name, parameter in parameters.items():
        same = own.get(name) is parameter
        if not same or live[name].device != parameter.device:
            change = f"moved to {parameter.device}" if same else "replaced"
            raise RunError(
                f"{name!r} was {change} after the Pruner was made, so masks and optimiser are of "
                "the old tensor; move the model and load its weights first, then make optimiser "
                "and Pruner"
            )


@final
class OptimizerWatch:
    """Sees every optimiser that steps the pruned parameters; it holds neither of them alive.

    Attributes:
        other: the class of an optimiser that did, other than the pruner's own; empty if none.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
    ) -> None:
        self.other = ""
        self._own, self._ids = optimizer, {id(p) for p in parameters.values()}
        seen = weakref.WeakMethod(self._stepped)

        def hook(stepped: torch.optim.Optimizer, *_: Any) -> None:
            method = seen()
            if method is not None:
                method(stepped)

        handle = register_optimizer_step_post_hook(hook)
        self.close = weakref.finalize(self, handle.remove)

    def require_own(self) -> None:
        """Refuse if another optimiser has stepped the parameters.

        Raises:
            RunError: one has.
        """
        if self.other:
            raise RunError(
                f"the pruner was given another optimiser ({type(self._own).__name__}) than the one "
                f"that steps its weights ({self.other}), which would keep the momentum of pruned "
                "weights; make the Pruner with the optimiser that trains"
            )

    def _stepped(self, optimizer: torch.optim.Optimizer) -> None:
        if optimizer is self._own or inner_optimizer(optimizer) is self._own:
            return
        if not self._ids.isdisjoint(_held(optimizer)):
            self.other = type(optimizer).__name__


def _held(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(p) for group in optimizer.param_groups for p in group["params"]}
