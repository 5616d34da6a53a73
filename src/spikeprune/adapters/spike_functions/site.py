"""A neuron that was found by its spike function, and how its potentials are observed."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikeprune.adapters.spike_functions.step import Step, explains
from spikeprune.adapters.spike_functions.watch import Place, SpikeCall, watching
from spikeprune.errors import ObservationError

Form = Literal["B", "T B", "B T", "(T B)", "(B T)"]
"""The axes ahead of the channels: samples, and time steps if one call has several; in brackets,
the two are one axis."""


@dataclass(frozen=True)
class Axes:
    """The axes of a tensor: those of `form`, then channels and space."""

    form: Form
    steps: int  # of one call
    sample: int  # number of axes of one sample at one step: 1 for channels alone, 3 for images

    @property
    def plain(self) -> bool:
        """Whether time comes first, or is not there, and no axes are joined."""
        return self.form in ("B", "T B")

    def split(self, x: Tensor) -> Tensor:
        """Return a tensor as `[T', B, C, *space]`."""
        rows = x.reshape(-1, *x.shape[x.ndim - self.sample :])
        if self.form in ("B", "T B", "(T B)"):
            return rows.reshape(self.steps, -1, *rows.shape[1:])
        return rows.reshape(-1, self.steps, *rows.shape[1:]).transpose(0, 1)


@dataclass(frozen=True, eq=False)
class SpikeSite:
    """A place in a net's code where a spike function is called: a spiking neuron.

    Attributes:
        place: the module and the place of its code.
        function: class of the spike function.
        others: its arguments behind the potential, of one call.
        step: its firing rule.
        axes: the axes of its argument.
        in_training: names of the modules that run as in training to call it in eval mode.
    """

    place: Place
    function: type[torch.autograd.Function]
    others: tuple[Any, ...]
    step: Step
    axes: Axes
    in_training: tuple[str, ...] = ()

    @property
    def surrogate(self) -> Callable[[Tensor], Tensor]:
        """The function from `H - V_th` to spikes, with the surrogate gradient.

        Where the threshold is a tensor, it takes that of one neuron.
        """
        by, others = self.step.threshold, list(self.others)
        offset = by if isinstance(by, float) else 0.0
        if isinstance(by, int):
            others[by - 1] = torch.zeros_like(others[by - 1].flatten()[:1])
        apply: Any = self.function.apply
        return lambda u: apply(u + offset, *others)


@contextmanager
def observing_sites(
    model: nn.Module, sinks: Mapping[SpikeSite, Callable[[Tensor], None]]
) -> Iterator[None]:
    """Give the potentials of sites to sinks while active: `H - V_th`, `[T', B, C, *space]`.

    Spikes and gradients do not change.

    Raises:
        ObservationError: (while active) a neuron did not fire as its rule says.
    """
    by_place = {site.place: site for site in sinks}

    def take(call: SpikeCall) -> None:
        site = by_place.get(call.place)
        if site is None:
            return
        if not explains(site.step, call.arguments, call.output):
            raise ObservationError(
                f"expected {site.function.__name__} in {site.place.module or 'the net'!r} to fire "
                f"where its argument reaches {site.step.threshold:g}, as it did when the net was "
                "traced, got other spikes; prune by saliency alone (regrow='none')"
            )
        with torch.no_grad():
            sinks[site](site.axes.split(site.step.relative(call.arguments)))

    switched = {name for site in sinks for name in site.in_training}
    with as_in_training(model, switched), watching(model, take):
        yield


@contextmanager
def as_in_training(model: nn.Module, names: Collection[str]) -> Iterator[None]:
    """Let some modules of a net in eval mode, but none inside of them, run as in training."""
    modules = dict(model.named_modules())
    switched = [] if model.training else [modules[n] for n in names if not modules[n].training]
    for module in switched:
        module.training = True
    try:
        yield
    finally:
        for module in switched:
            module.training = model.training
