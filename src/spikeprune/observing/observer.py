"""Potentials in, one criticality score and firing rate per channel out; no hook stays behind."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from spikeprune.adapters.neuron import Neuron, neurons_of, observing
from spikeprune.data.batches import input_of
from spikeprune.distributed.collectives import agree, settle_buffers_, sum_over_ranks
from spikeprune.errors import ConfigError, ObservationError
from spikeprune.execution.forward import evaluating
from spikeprune.observing.criticality_options import PAPER, CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats, PotentialSums
from spikeprune.science.surrogate import Curve, check_peaked, closed_curve, model_curve, named_curve
from spikeprune.wiring.wiring import Wiring


@final
class Observer:
    """Streams the potentials of all spiking neurons into scores per channel.

    Between `arm` and `disarm` (or inside a `with` block) it records every forward in which the
    neurons are in the mode asked for, so validation between armed training steps is left out.
    Spikes and gradients do not change.

    Args:
        model: the net.
        options: the score curve and its reductions; a derivative must be peaked at threshold.
        time_steps: T. Every neuron must record the same multiple of T steps between two resets.
        train: whether to record forwards in training mode, or those in eval mode.
        moments: whether to record mean, variance and size of the potentials as well.
        wiring: of the net, whose neurons are observed; needed where they are not modules of a known
            framework. None: all such modules.

    Attributes:
        armed: whether it records now.

    Raises:
        ConfigError: a curve that cannot serve as a score.
        ModelError: no spiking neurons, or some that cannot be observed.
        ObservationError: (while armed) another number of time steps between resets.
    """

    def __init__(
        self,
        model: nn.Module,
        options: CriticalityOptions = PAPER,
        *,
        time_steps: int,
        train: bool,
        moments: bool = False,
        wiring: Wiring | None = None,
    ) -> None:
        if time_steps < 1:
            raise ConfigError(f"expected at least one time step, got time_steps={time_steps}")
        names = None if wiring is None else wiring.neurons
        self._neurons = neurons_of(model, None if wiring is None else wiring.sites, names)
        for name, neuron in self._neurons.items():  # refuses what cannot serve before it runs
            _curve(name, neuron, options)
        self._thresholds = {n: m.threshold() if moments else None for n, m in self._neurons.items()}
        self._options, self._time_steps, self._train = options, time_steps, train
        self._stack = ExitStack()
        self._sums: dict[str, PotentialSums] = {}
        self.armed = False

    def arm(self) -> None:
        """Start recording, from nothing."""
        self.disarm()
        for name, neuron in self._neurons.items():
            curve, traceable = _curve(name, neuron, self._options)
            self._sums[name] = PotentialSums(
                name,
                neuron,
                curve,
                self._options,
                time_steps=self._time_steps,
                train=self._train,
                traceable=traceable,
                threshold=self._thresholds[name],
            )
        resets = {name: sums.reset for name, sums in self._sums.items()}
        with ExitStack() as stack:
            stack.enter_context(observing(self._neurons, self._sums, resets))
            self._stack = stack.pop_all()
        self.armed = True

    def disarm(self) -> None:
        """Stop recording and free every neuron; the sums stay for `compute`."""
        self._stack.close()
        self.armed = False

    def compute(self, *, over_ranks: bool = False) -> dict[str, ChannelStats]:
        """Return score and rate per channel of each neuron module, by name.

        Args:
            over_ranks: whether to add up the records of all processes of a group; then all of
                them must call.

        Raises:
            ObservationError: nothing was recorded, or not the same number of whole sequences by
                every neuron.
            RunError: that happened to another rank.
        """
        if not over_ranks:
            self._close()
            return {name: sums.stats() for name, sums in self._sums.items()}
        agree(self._close)
        parts = [sums.sums() for sums in self._sums.values()]
        total = sum_over_ranks(torch.cat([part.to(parts[0].device) for part in parts]))
        split = torch.split(total, [len(part) for part in parts])
        return {n: s.stats(part) for (n, s), part in zip(self._sums.items(), split, strict=True)}

    def _close(self) -> None:
        """Refuse unless every neuron has recorded equally many whole sequences."""
        expected = max((sums.total for sums in self._sums.values()), default=0)
        for name in self._neurons:
            recorded = self._sums[name].total if name in self._sums else 0
            if recorded == 0 or recorded != expected:
                mode = "training" if self._train else "eval"
                raise ObservationError(
                    f"expected neuron {name!r} to record {expected or 'some'} time steps, got "
                    f"{recorded}; call the net itself (not net.forward, nor a compiled net) in "
                    f"{mode} mode while it is observed, each neuron equally often"
                )
            self._sums[name].reset()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as tensors and plain values."""
        tallies = {n: s.state_dict() for n, s in self._sums.items()} if self.armed else {}
        return {"armed": self.armed, "tallies": tallies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: armed or not, with the sums so far."""
        self.disarm()
        if state["armed"]:
            self.arm()
            for name, sums in self._sums.items():
                sums.load_state_dict(state["tallies"][name])

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *error: object) -> None:
        self.disarm()


def _curve(name: str, neuron: Neuron, options: CriticalityOptions) -> tuple[Curve, bool]:
    """Return g, and whether a kernel may be made of it."""
    derivative, closed = options.value == "derivative", None
    if options.curve == "model" and derivative:
        closed = neuron.derivative()
    if options.curve != "model":
        found = named_curve(options.curve, options.value)
    elif closed is not None:
        found = closed_curve(closed)
    else:
        surrogate = neuron.surrogate() if derivative else neuron.primitive()
        found = model_curve(surrogate, options.value)
    if derivative:
        try:
            check_peaked(found)
        except ConfigError as error:
            raise ConfigError(f"neuron {name!r}: {error}") from error
    return found, options.curve != "model" or closed is not None


def score_loader(
    model: nn.Module,
    batches: Iterable[Any],
    options: CriticalityOptions = PAPER,
    *,
    time_steps: int,
    forward: Callable[[Tensor], Any],
    moments: bool = False,
    over_ranks: bool = False,
    wiring: Wiring | None = None,
) -> dict[str, ChannelStats]:
    """Score the channels over a loader, in eval mode without gradients.

    Args:
        model: the net; the mode of each module is restored.
        batches: inputs, or tuples whose first entry is the input.
        options: as in `Observer`.
        time_steps: T.
        forward: runs the model on one input over T steps, from a fresh state.
        moments: as in `Observer`.
        over_ranks: whether to add up the processes of a group, each with batches of its own (or
            each with all of them), and the same weights; then all must call. Buffers that differ
            are made the same first, see `distributed.collectives.settle_buffers_`.
        wiring: as in `Observer`.

    Returns:
        Score and rate per channel of each neuron module, by name.

    Raises:
        ObservationError, ConfigError, ModelError: as `Observer`.
    """
    observer = Observer(
        model, options, time_steps=time_steps, train=False, moments=moments, wiring=wiring
    )
    device = next((p.device for p in model.parameters()), None)

    def run() -> None:
        with evaluating(model), torch.no_grad(), observer:
            for batch in batches:
                forward(input_of(batch).to(device))

    if over_ranks:
        settle_buffers_(model)
        agree(run)
    else:
        run()
    return observer.compute(over_ranks=over_ranks)
