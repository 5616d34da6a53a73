"""A neuron of a net as observers see it, whatever it is: a module, or a place in the code."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from spikeprune.adapters.base import Adapter, ClosedForms, Filtering
from spikeprune.adapters.registry import owner, spiking_neurons
from spikeprune.adapters.spike_functions.site import SpikeSite, observing_sites
from spikeprune.errors import ModelError
from spikeprune.neurons.sinks import Sink
from spikeprune.science.low_pass import LowPass


class Neuron(Protocol):
    """A spiking neuron; see `adapters.base.Adapter` for what the methods return."""

    @property
    def training(self) -> bool:
        """Whether it is in training mode."""

    def surrogate(self) -> Callable[[Tensor], Tensor]:
        """Return u -> spikes with the surrogate gradient."""

    def derivative(self) -> Callable[[Tensor], Tensor] | None:
        """Return the surrogate derivative in closed form, or None."""

    def primitive(self) -> Callable[[Tensor], Tensor]:
        """Return the smooth forward value of the surrogate."""

    def threshold(self) -> float:
        """Return V_th."""

    def low_pass(self) -> LowPass | None:
        """Return the filter that the potential is while it does not fire, None if unknown."""


@dataclass(frozen=True)
class ModuleNeuron:
    """A neuron that is a module, through its adapter."""

    module: nn.Module
    adapter: Adapter

    @property
    def training(self) -> bool:
        """Whether the module is in training mode."""
        return self.module.training

    def surrogate(self) -> Callable[[Tensor], Tensor]:
        """Return u -> spikes with the surrogate gradient."""
        return self.adapter.surrogate(self.module)

    def derivative(self) -> Callable[[Tensor], Tensor] | None:
        """Return the derivative in closed form, if the adapter knows one."""
        if not isinstance(self.adapter, ClosedForms):
            return None
        return self.adapter.derivative(self.module)

    def primitive(self) -> Callable[[Tensor], Tensor]:
        """Return the smooth forward value of the surrogate."""
        return self.adapter.primitive(self.module)

    def threshold(self) -> float:
        """Return V_th."""
        return self.adapter.threshold(self.module)

    def low_pass(self) -> LowPass | None:
        """Return the filter of the potential, if the adapter knows it."""
        if not isinstance(self.adapter, Filtering):
            return None
        return self.adapter.low_pass(self.module)


@dataclass(frozen=True)
class SiteNeuron:
    """A neuron that was found by its spike function."""

    model: nn.Module
    site: SpikeSite

    @property
    def training(self) -> bool:
        """Whether the net is in training mode."""
        return self.model.training

    def surrogate(self) -> Callable[[Tensor], Tensor]:
        """Return the spike function of the potential relative to threshold."""
        return self.site.surrogate

    def derivative(self) -> None:
        """Return None: no closed form is known."""

    def primitive(self) -> Callable[[Tensor], Tensor]:
        """Refuse: no smooth forward value is known.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"expected a surrogate with a smooth forward value, got {self.site.function.__name__}, "
            "of which none is known; score with value='derivative', or name a curve"
        )

    def threshold(self) -> float:
        """Refuse: what a spike function gets may be relative to threshold already.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"the threshold of the neuron at {self.site.place.module or 'the net'!r} is not known, "
            "only its potential relative to it; choose a criterion that needs no threshold"
        )

    def low_pass(self) -> None:
        """Return None: how its potential decays is not known."""


def neurons_of(
    model: nn.Module, sites: Mapping[str, SpikeSite] | None, names: Mapping[str, int] | None
) -> dict[str, ModuleNeuron | SiteNeuron]:
    """Return the neurons of a net by name.

    `names` are those that a trace has mapped, and `sites` the places in the code that some of them
    are. None: all modules that the model's adapter takes for neurons.
    """
    if names is None:
        return {n: ModuleNeuron(m, owner(m)) for n, m in spiking_neurons(model).items()}
    found: dict[str, ModuleNeuron | SiteNeuron] = {}
    for name in names:
        if sites is not None and name in sites:
            found[name] = SiteNeuron(model, sites[name])
        else:
            module = model.get_submodule(name)
            found[name] = ModuleNeuron(module, owner(module))
    return found


def described(neuron: ModuleNeuron | SiteNeuron) -> dict[str, Any]:
    """Return class, way of finding, threshold (None: not one number) and surrogate of a neuron."""
    if isinstance(neuron, SiteNeuron):
        site = neuron.site
        held = dict(neuron.model.named_modules()).get(site.place.module)
        by = site.step.threshold
        return {
            "class": "a module in a list" if held is None else type(held).__name__,
            "found_by": "spike function",
            "threshold": by if isinstance(by, float) else None,
            "surrogate": site.function.__name__,
        }
    try:
        threshold = neuron.threshold()
    except ModelError:
        threshold = None
    surrogate = getattr(neuron.module, "surrogate_function", None)
    return {
        "class": type(neuron.module).__name__,
        "found_by": neuron.adapter.framework,
        "threshold": threshold,
        "surrogate": None if surrogate is None else type(surrogate).__name__,
    }


@contextmanager
def observing(
    neurons: Mapping[str, ModuleNeuron | SiteNeuron],
    sinks: Mapping[str, Sink],
    resets: Mapping[str, Callable[[], None]],
) -> Iterator[None]:
    """Give the potentials of neurons to sinks while active, by name; `resets` hear of resets."""
    with ExitStack() as stack:
        sites: dict[SpikeSite, Sink] = {}
        model: nn.Module | None = None
        for name, neuron in neurons.items():
            if isinstance(neuron, SiteNeuron):
                sites[neuron.site], model = sinks[name], neuron.model
            else:
                observed = neuron.adapter.observe(neuron.module, sinks[name], resets[name])
                stack.enter_context(observed)
        if model is not None:
            stack.enter_context(observing_sites(model, sites))
        yield
