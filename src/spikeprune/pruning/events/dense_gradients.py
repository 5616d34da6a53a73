"""The dense gradients that an event needs: taken just before the optimiser's step."""

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from spikeprune.errors import ModelError, RunError


@final
class DenseGradients:
    """Takes the dense gradients that the coming event needs, before a mask is applied to them.

    `then` is called afterwards in every step, in this order; it may change the gradients.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        *,
        capturing: Callable[[], bool],
        then: tuple[Callable[[], None], ...],
    ) -> None:
        self._parameters, self._capturing, self._then = parameters, capturing, then
        self._dense: dict[str, Tensor] = {}  # between the optimiser's step and the event
        self._handle = optimizer.register_step_pre_hook(self._before_optimizer_step)

    def take(self, *, needed: bool) -> dict[str, Tensor]:
        """Return the last step's dense gradients by parameter name, and forget them."""
        dense, self._dense = self._dense, {}
        if needed and not dense:
            raise RunError(
                "the event needs the gradients of this step, but the optimiser did not step; call "
                "optimizer.step() before pruner.step(), and neither where a step is skipped"
            )
        return dense

    def close(self) -> None:
        """Remove the hook."""
        self._handle.remove()

    def _before_optimizer_step(self, *_: Any) -> None:
        if self._capturing():
            for name, parameter in self._parameters.items():
                if parameter.grad is None:
                    raise ModelError(
                        f"{name!r} got no gradient, so its weights cannot be ranked for regrowth; "
                        "exclude the layer, or train it"
                    )
                self._dense[name] = parameter.grad.detach().clone()
        for call in self._then:
            call()
