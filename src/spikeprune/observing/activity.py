"""What the neurons of a net do over a data set: criticality, firing by position, spike counts."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.neuron import neurons_of, observing
from spikeprune.errors import DataError, ModelError
from spikeprune.execution.forward import Forward, evaluating
from spikeprune.observing.criticality_options import PAPER, CriticalityOptions
from spikeprune.observing.observer import Observer
from spikeprune.science.features import ClassSums, class_sums, merge_classes, min_max
from spikeprune.wiring.wiring import Wiring


@dataclass(frozen=True)
class Activity:
    """What one neuron module did."""

    score: Tensor  # criticality `S_i`, [C] (method, section 2)
    spikes: Tensor  # over time and samples by position, [C, *space], whole numbers in float64
    seen: int  # samples x time steps
    samples: int

    @property
    def chances(self) -> int:
        """How often a channel could fire: samples x time steps x positions."""
        return self.seen * self.spikes[0].numel()

    @property
    def fired(self) -> Tensor:
        """Spikes of a channel over time, samples and positions, `[C]`."""
        return self.spikes.flatten(1).sum(1) if self.spikes.ndim > 1 else self.spikes

    @property
    def rate(self) -> Tensor:
        """Firing rate `[C]`, divided once, so that equal counts are equal rates."""
        return self.fired / self.chances


class _Fired:
    """Spikes by channel and position, summed over time and samples as they come."""

    spikes: Tensor | None = None
    seen = 0  # samples x steps

    def take(self, x: Tensor) -> None:
        # As floats: sums of bool are many times slower. Exact up to 2^24 spikes a position.
        spikes = (x >= 0).float().sum((0, 1)).double()
        self.spikes = spikes if self.spikes is None else self.spikes + spikes
        self.seen += x.shape[0] * x.shape[1]


class _Counted:
    """Spikes of every neuron over the time steps of one forward, `[B, F]`."""

    spikes: Tensor | None = None

    def take(self, x: Tensor) -> None:
        spikes = (x >= 0).float().sum(0).flatten(1)
        self.spikes = spikes if self.spikes is None else self.spikes + spikes

    def collect(self) -> Tensor:
        assert self.spikes is not None
        spikes, self.spikes = self.spikes, None
        return spikes


def neuron_activity(
    model: nn.Module,
    batches: Iterable[Any],
    options: CriticalityOptions = PAPER,
    *,
    time_steps: int,
    forward: Forward,
) -> dict[str, Activity]:
    """Return criticality and firing of all neurons over a loader, in eval mode, in one pass.

    `batches` are inputs, or tuples whose first entry is the input; all of one image size. The modes
    and hooks of the model are afterwards as before.
    """
    observer = Observer(model, options, time_steps=time_steps, train=False)
    fired = {name: _Fired() for name in neurons_of(model, None, None)}
    with _watching(model, {name: one.take for name, one in fired.items()}), observer:
        for batch in batches:
            forward(batch if isinstance(batch, Tensor) else batch[0])
    found = {}
    for name, stats in observer.compute().items():
        spikes = fired[name].spikes
        assert spikes is not None
        found[name] = Activity(stats.score, spikes, fired[name].seen, stats.samples)
    return found


def last_neurons(wiring: Wiring) -> tuple[str, ...]:
    """Return the names of the neurons whose spikes the classifier reads.

    Where every layer feeds a neuron, it is the last neuron.
    """
    outputs = [layer for layer in wiring.layers.values() if not layer.feeds]
    names = tuple(dict.fromkeys(name for layer in outputs for name in layer.sources))
    if outputs and not names:
        raise ModelError(
            f"expected a classifier that reads spikes, got {outputs[0].name!r}, which reads none"
        )
    return names or (list(wiring.neurons)[-1],)


def spike_features(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    neurons: tuple[str, ...],
    *,
    forward: Forward,
    classes: int,
) -> ClassSums:
    """Return, by class, the spike counts of some neurons over T, min-max scaled per sample.

    `batches` are pairs of input and class index; the counts of `neurons` stand side by side. The
    modes and hooks of the model are afterwards as before.
    """
    counted = {name: _Counted() for name in neurons}
    sums: ClassSums | None = None
    with _watching(model, {name: one.take for name, one in counted.items()}):
        for x, y in batches:
            forward(x)
            counts = torch.cat([counted[name].collect() for name in neurons], 1)
            new = class_sums(min_max(counts.double()), y, classes)
            sums = new if sums is None else merge_classes(sums, new)
    if sums is None:
        raise DataError("expected at least one batch to take features from, got none")
    return sums


@contextmanager
def _watching(model: nn.Module, sinks: dict[str, Callable[[Tensor], None]]) -> Iterator[None]:
    """Give the potentials of the named neurons to their sinks, in eval mode without gradients."""
    neurons = {n: one for n, one in neurons_of(model, None, None).items() if n in sinks}
    resets = dict.fromkeys(neurons, lambda: None)
    with evaluating(model), torch.no_grad(), observing(neurons, sinks, resets):
        yield
