"""Keep dead weights at 0 between events, and take the dense gradients that an event needs."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from spikeprune.errors import DeadNetWarning, ModelError, RunError
from spikeprune.pruning.optimizer_state import ZERO_KEEPING, forget_directions
from spikeprune.science.health import warnings_of
from spikeprune.science.masks import Mask, apply_, leaking, silence_


def live_weights(mask: Mask) -> dict[str, int]:
    """Return the number of live weights by layer, of parameters with more than one axis."""
    return {n.removesuffix(".weight"): int(m.sum()) for n, m in mask.items() if m.ndim > 1}


def warned_of_dead_layers(mask: Mask, *, known: Sequence[str]) -> tuple[str, ...]:
    """Warn of layers without a live weight, and return that as a note, if `known` has it not."""
    found = warnings_of(live=live_weights(mask), silent={})
    new = tuple(note for note in found if note not in known)
    for note in new:
        warnings.warn(note, DeadNetWarning, stacklevel=6)  # where the user's loop calls `step`
    return new


@final
class MaskKeeper:
    """Keeps dead weights at exactly 0 while an optimiser trains the others.

    A hook masks each gradient as soon as it is computed, so before clipping. With an optimiser of
    `ZERO_KEEPING` a weight of 0 then stays 0, and the parameters need no pass of their own. The
    version counters of the tensors show, without a look at their values, when something may have
    undone this:

    - gradients that were written to, or that no hook saw, are masked again before the optimiser
      reads them;
    - parameters that something else wrote to (`load_state_dict`, say) are masked together with the
      optimiser's momentum, and so are both after the optimiser's state was loaded;
    - with any other optimiser, parameters are masked in every step.

    Writes that bypass the version counters (`parameter.data`) are found by `check`. Where `dense()`
    says that the event after the coming step needs the dense gradients, they are copied just before
    that step, and masked then. `penalise` may add to the gradients of every step; `before`
    sees them as they are then, masked and without that.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Mapping[str, nn.Parameter],
        *,
        dense: Callable[[], bool],
        penalise: Callable[[], None] = lambda: None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.mask: Mask | None = None  # live weights by parameter name; None while all are live
        self._optimizer, self._parameters = optimizer, parameters
        self._dense, self._penalise, self._before = dense, penalise, before
        self._taken: dict[str, Tensor] = {}  # dense gradients, from the step to the event
        self._keeps_zero = type(optimizer) in ZERO_KEEPING
        self._masked: dict[str, tuple[Tensor, int]] = {}  # gradients as the hooks left them
        self._versions: list[int] = []  # of the parameters as the optimiser or we left them
        self._handles: list[Any] = [
            p.register_post_accumulate_grad_hook(self._hook(n))  # type: ignore[no-untyped-call]
            for n, p in parameters.items()
            if p.requires_grad  # a frozen layer is pruned like any other
        ]
        self._handles += [
            optimizer.register_step_pre_hook(self._before_optimizer_step),
            optimizer.register_step_post_hook(self._after_optimizer_step),
            optimizer.register_load_state_dict_post_hook(self._distrust),
        ]

    def close(self) -> None:
        """Remove all hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._masked = [], {}

    def mask_with(self, mask: Mask, *, trusted: bool) -> None:
        """Take a new mask; `trusted` if dead parameters and their momentum are 0 already."""
        self.mask = mask if mask.live < mask.total else None
        self._versions = self._current() if trusted else []

    def dense_gradients(self) -> dict[str, Tensor]:
        """Return the last step's dense gradients by parameter name, and forget them.

        Raises:
            RunError: the optimiser did not step since they were taken last.
        """
        taken, self._taken = self._taken, {}
        if not taken:
            raise RunError(
                "the event needs the gradients of this step, but the optimiser did not step; call "
                "optimizer.step() before pruner.step(), and neither where a step is skipped"
            )
        return taken

    def _before_optimizer_step(
        self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._before_step()
            return None
        self._taken = {}

        def masked() -> Any:
            loss = closure()
            self._before_step()
            return loss

        return args[:1], {**kwargs, "closure": masked}

    def _before_step(self) -> None:
        """Take the dense gradients if an event needs them, mask, and penalise.

        A closure may run several times in one step, as that of LBFGS: the first counts, which is
        at the weights before the step.
        """
        if self._dense() and not self._taken:
            for name, parameter in self._parameters.items():
                if parameter.grad is None:
                    raise ModelError(
                        f"{name!r} got no gradient, so its weights cannot be ranked for regrowth; "
                        "exclude the layer, or train it"
                    )
                self._taken[name] = parameter.grad.detach().clone()
        self._mask_before_step()
        self._before()
        self._penalise()

    def _mask_before_step(self) -> None:
        """Mask gradients, and parameters if needed."""
        if self.mask is None:
            return
        for name, parameter in self._parameters.items():
            gradient = parameter.grad
            if gradient is not None and not self._is_masked(name, gradient):
                silence_(gradient, self.mask[name])
        if self._current() != self._versions:
            apply_(self._parameters, self.mask)
            forget_directions(self._optimizer, self._parameters, self.mask)
            self._versions = self._current()

    def after_step(self) -> None:
        """Mask the parameters if needed; called after the optimiser's step."""
        if self.mask is not None and not (self._keeps_zero and self._current() == self._versions):
            apply_(self._parameters, self.mask)
            self._versions = self._current()

    def check(self) -> None:
        """Refuse if a dead weight is not 0."""
        for name, live in {} if self.mask is None else self.mask.items():
            if leaking(self._parameters[name].detach(), live):
                raise RunError(
                    f"expected every dead weight of {name!r} to be 0, but one is not: the training "
                    "has diverged, or something wrote to `parameter.data`, which bypasses the "
                    "masks; write to the parameter itself, under torch.no_grad()"
                )

    def _hook(self, name: str) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            if self.mask is not None and not self._dense():
                assert parameter.grad is not None
                silence_(parameter.grad, self.mask[name])
                self._masked[name] = parameter.grad, parameter.grad._version

        return hook

    def _is_masked(self, name: str, gradient: Tensor) -> bool:
        # Processes exchange gradients after, or while, the hooks run.
        in_group = torch.distributed.is_available() and torch.distributed.is_initialized()
        if name not in self._masked or in_group:
            return False
        left, version = self._masked[name]
        return left is gradient and gradient._version == version

    def _current(self) -> list[int]:
        return [parameter._version for parameter in self._parameters.values()]

    def _after_optimizer_step(self, *_: Any) -> None:
        self._masked = {}  # keeps no gradient alive that the user frees
        if self._keeps_zero:
            self._versions = self._current()

    def _distrust(self, *_: Any) -> None:
        self._versions = []
