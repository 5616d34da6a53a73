"""The wiring of a net: its layers, the neurons that each feeds and reads, and values along it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikeprune.adapters.spike_functions.site import SpikeSite
from spikeprune.errors import ModelError
from spikeprune.execution.forward import Layout
from spikeprune.wiring.axes import Reads


@dataclass(frozen=True)
class Layer:
    """One layer with weights; its shapes and costs are those of one sample and one time slice."""

    name: str
    kind: str  # 'conv', 'transposed' or 'linear'
    feeds: tuple[str, ...]  # neurons that its output reaches first, channel by channel
    sources: tuple[str, ...]  # neurons whose spikes it reads; empty for image or analog inputs
    binary: bool  # whether its operand is 0 or 1 whenever spikes are
    input_shape: torch.Size  # [C, *space] or [F]
    output_shape: torch.Size
    norms: tuple[str, ...]  # BatchNorms between the layer and the neurons that it feeds
    macs: int  # dense multiply-accumulates, borders included
    prunable: bool = True  # whether its weight is a parameter of its own that is used as it is
    follows: bool = True  # whether its input channels are those of its sources
    # Whether it reads the input of the net, or what a layer gave, through more than found neurons:
    # only the values of its operand can tell then whether it reads spikes, so an evaluation decides
    # by them.
    by_values: bool = False
    reads_input: bool = False
    reads: Reads | None = None  # how over time; None: it cannot be told
    last: bool = False  # whether no spiking neuron, found or not, lies behind it


@dataclass(frozen=True)
class Wiring:
    """The layers of a model and the neurons between them, by name, in the model's order.

    Attributes:
        layers: by name.
        neurons: number of channels by neuron; the name is that of its module, with `#1`, `#2` where
            a module has several.
        sites: those of the neurons that were found by their spike functions.
        notes: sentences on what is not mapped, not pruned or not counted.
        products: what is multiplied outside of layers, such as attention, by module and operation.
        layout: how the net is called, as given or found.
        sample_axes: number of axes of one sample at one step, by neuron: 1 for channels alone.
    """

    layers: dict[str, Layer]
    neurons: dict[str, int]
    sites: dict[str, SpikeSite] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    layout: Layout = "sequence"
    sample_axes: dict[str, int] = field(default_factory=dict)

    @property
    def prunable(self) -> tuple[str, ...]:
        """Names of the layers whose weights can be pruned."""
        return tuple(name for name, layer in self.layers.items() if layer.prunable)

    @property
    def mapped(self) -> bool:
        """Whether a layer that can be pruned feeds a neuron."""
        return any(layer.prunable and layer.feeds for layer in self.layers.values())

    def spread(self, layer: str, values: Mapping[str, Tensor]) -> Tensor:
        """Return values of the neurons' channels as values of a layer's output channels, `[C_out]`.

        `values` holds `[C]` for every neuron that the layer feeds; several neurons give their mean.
        Behind a flatten, a channel takes the mean over its block of positions.
        """
        found = self.layers[layer]
        if not found.feeds:
            raise ModelError(
                f"expected a layer that feeds a spiking neuron, got {layer!r}, which feeds none; "
                "rank its weights by saliency alone"
            )
        channels = found.output_shape[0]
        blocks = [values[name].reshape(channels, -1).mean(1) for name in found.feeds]
        return torch.stack(blocks).mean(0)

    def source_rates(self, layer: str, rates: Mapping[str, Tensor]) -> Tensor:
        """Estimate how often each input channel of a layer is not zero, from firing rates `[C]`.

        Returns:
            `[C_in]` in [0, 1]; behind a flatten `[C * positions]`, a channel's rate repeated. All
            entries are 1 if the layer reads the image or another layer, or if channels are mixed
            on the way. Several sources count as independent, 1 - prod(1 - rate), which is exact in
            expectation for an additive join of independent spikes and too high for AND and IAND.
            Pooling, which raises the rate, is ignored.
        """
        found = self.layers[layer]
        inputs = found.input_shape[0]
        if not found.sources or not found.follows:
            return torch.ones(inputs).to(next(iter(rates.values())))
        silent = torch.stack([1 - rates[name] for name in found.sources]).prod(0)
        return (1 - silent).repeat_interleave(inputs // len(silent))
