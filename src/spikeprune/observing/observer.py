"""Potentials in, one criticality score and firing rate per channel out; nothing stays behind."""

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import Adapter, ClosedForms
from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.distributed.collectives import agree, settle_buffers_, sum_over_ranks
from spikeprune.errors import ConfigError, ObservationError, unknown_name
from spikeprune.execution.forward import evaluating
from spikeprune.neurons.sinks import TimeFold
from spikeprune.observing.potential_sums import ChannelStats, PotentialSums
from spikeprune.science.criticality import REDUCTIONS
from spikeprune.science.surrogate import Curve, check_peaked, closed_curve, model_curve, named_curve


@final
class Observer:
    """Streams the potentials of all spiking neurons into scores per channel.

    Between `arm` and `disarm` (or inside a `with` block) every forward is recorded whose neurons
    are in the mode asked for; validation between armed training steps is left out. Spikes and
    gradients stay what they are.

    Args:
        model: spiking neurons of one framework.
        time_steps: T. Every neuron must record the same multiple of T steps between two resets.
        curve: 'model' (the neuron's own surrogate) or a name in `science.surrogate.CURVES`.
        value: 'derivative' (must be peaked at threshold) or 'primitive'.
        space: 'max' or 'mean' over positions.
        time: 'mean' or 'max' over time steps.
        train: whether to record forwards in training mode, or those in eval mode.
        moments: whether mean, variance and size of the potentials are wanted as well.

    Raises:
        ConfigError: an unknown name, or a curve that cannot serve as a score.
        ModelError: no spiking neurons, or some that cannot be observed.
        ObservationError: (while armed) other numbers of time steps between resets.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        time_steps: int,
        curve: str = "model",
        value: str = "derivative",
        space: str = "max",
        time: str = "mean",
        train: bool,
        moments: bool = False,
    ) -> None:
        if time_steps < 1:
            raise ConfigError(f"expected at least one time step, got time_steps={time_steps}")
        for kind, name in (("space", space), ("time", time)):
            if name not in REDUCTIONS:
                raise unknown_name(f"{kind} reduction", name, REDUCTIONS)
        self._adapter = adapter_for(model)
        self._neurons = spiking_neurons(model)
        self._curve = functools.partial(_curve, self._adapter, curve=curve, value=value)
        for name, neuron in self._neurons.items():
            self._curve(name, neuron)  # refuses what cannot serve before anything runs
        self._tally = functools.partial(
            PotentialSums, time_steps=time_steps, space=space, time=time
        )
        self._thresholds = {
            name: self._adapter.threshold(neuron) if moments else None
            for name, neuron in self._neurons.items()
        }
        self._train = train
        self._stack = ExitStack()
        self._tallies: dict[str, PotentialSums] = {}
        self.armed = False

    def arm(self) -> None:
        """Start recording, from nothing."""
        self.disarm()
        with ExitStack() as stack:
            for name, neuron in self._neurons.items():
                curve, traceable = self._curve(name, neuron)
                threshold = self._thresholds[name]
                tally = self._tally(name, curve, traceable=traceable, threshold=threshold)
                self._tallies[name] = tally
                sink = _InMode(neuron, tally, train=self._train)
                stack.enter_context(self._adapter.observe(neuron, sink, tally.reset))
            self._stack = stack.pop_all()
        self.armed = True

    def disarm(self) -> None:
        """Stop recording and let go of every neuron; what was recorded stays for `compute`."""
        self._stack.close()
        self.armed = False

    def compute(self, *, over_ranks: bool = False) -> dict[str, ChannelStats]:
        """Return score and rate per channel of each neuron module, by name.

        Args:
            over_ranks: whether to add up what the processes of a group have recorded; then all of
                them must call.

        Raises:
            ObservationError: nothing was recorded, or not the same number of whole sequences by
                every neuron.
            RunError: that happened to another rank.
        """
        if not over_ranks:
            self._close()
            return {name: tally.stats() for name, tally in self._tallies.items()}
        agree(self._close)
        parts = [tally.sums() for tally in self._tallies.values()]
        total = sum_over_ranks(torch.cat([part.to(parts[0].device) for part in parts]))
        split = torch.split(total, [len(part) for part in parts])
        return {n: t.stats(s) for (n, t), s in zip(self._tallies.items(), split, strict=True)}

    def _close(self) -> None:
        """Refuse unless every neuron has recorded equally many whole sequences."""
        expected = max((tally.total for tally in self._tallies.values()), default=0)
        for name in self._neurons:
            recorded = self._tallies[name].total if name in self._tallies else 0
            if recorded == 0 or recorded != expected:
                mode = "training" if self._train else "eval"
                raise ObservationError(
                    f"expected neuron {name!r} to record {expected or 'some'} time steps, got "
                    f"{recorded}; run the model in {mode} mode while the observer is armed, each "
                    "neuron equally often"
                )
            self._tallies[name].reset()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as tensors and plain values.

        Raises:
            ObservationError: in the middle of a sequence.
        """
        tallies = {n: t.state_dict() for n, t in self._tallies.items()} if self.armed else {}
        return {"armed": self.armed, "tallies": tallies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: armed or not, with the sums so far."""
        self.disarm()
        if state["armed"]:
            self.arm()
            for name, tally in self._tallies.items():
                tally.load_state_dict(state["tallies"][name])

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *error: object) -> None:
        self.disarm()


@final
class _InMode:
    """The `FoldingSink` of a tally; it leaves out forwards in the other mode."""

    def __init__(self, neuron: nn.Module, tally: PotentialSums, *, train: bool) -> None:
        self._neuron, self._tally, self._train = neuron, tally, train

    def __call__(self, potentials: Tensor) -> None:
        if self._neuron.training is self._train:
            self._tally.take(potentials)

    def fold(self, steps: int) -> TimeFold | None:
        return self._tally.fold(steps) if self._neuron.training is self._train else None


def _curve(
    adapter: Adapter, name: str, neuron: nn.Module, *, curve: str, value: str
) -> tuple[Curve, bool]:
    """Return g, and whether a kernel may be made of it."""
    closed = None
    if curve == "model" and value == "derivative" and isinstance(adapter, ClosedForms):
        closed = adapter.derivative(neuron)
    if curve != "model":
        found = named_curve(curve, value)
    elif closed is not None:
        found = closed_curve(closed)
    elif value == "primitive":
        found = model_curve(adapter.primitive(neuron), value)
    else:
        found = model_curve(adapter.surrogate(neuron), value)
    if value == "derivative":
        try:
            check_peaked(found)
        except ConfigError as error:
            raise ConfigError(f"neuron {name!r}: {error}") from error
    return found, curve != "model" or closed is not None


def score_loader(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    time_steps: int,
    forward: Callable[[Tensor], Any],
    curve: str = "model",
    value: str = "derivative",
    space: str = "max",
    time: str = "mean",
    over_ranks: bool = False,
    moments: bool = False,
) -> dict[str, ChannelStats]:
    """Score the channels over a loader, in eval mode without gradients.

    Args:
        model: spiking neurons of one framework; the mode of each module is restored.
        batches: inputs, or tuples whose first entry is the input.
        time_steps: T.
        forward: runs the model on one input over T steps, from a fresh state.
        curve: as in `Observer`.
        value: likewise.
        space: likewise.
        time: likewise.
        moments: likewise.
        over_ranks: whether to add up the processes of a group, each with batches of its own (or
            each with all of them), and the same weights; then all must call. Buffers that differ
            are made the same first, see `distributed.collectives.settle_buffers_`.

    Returns:
        Score and rate per channel of each neuron module, by name.

    Raises:
        ObservationError, ConfigError, ModelError: as `Observer`.
    """
    observer = Observer(
        model,
        time_steps=time_steps,
        curve=curve,
        value=value,
        space=space,
        time=time,
        train=False,
        moments=moments,
    )
    device = next((p.device for p in model.parameters()), None)

    def run() -> None:
        with evaluating(model), torch.no_grad(), observer:
            for batch in batches:
                x = batch if isinstance(batch, Tensor) else batch[0]
                forward(x.to(device))

    if over_ranks:
        settle_buffers_(model)
        agree(run)
    else:
        run()
    return observer.compute(over_ranks=over_ranks)
