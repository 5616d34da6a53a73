"""The wiring of a net: its layers, the neurons that each feeds and reads, and values along it.

`wiring.trace` finds the wiring of a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeprune.errors import ModelError


@dataclass(frozen=True)
class Layer:
    """One prunable layer, a convolution or a linear layer.

    Attributes:
        name: name of the module.
        kind: 'conv' or 'linear'.
        feeds: names of the neurons that its output reaches without passing another layer or
            neuron; empty for the classifier.
        sources: names of the neurons whose spikes it reads; empty if it reads the image or another
            layer's analog output.
        binary: whether its operand is 0 or 1 whenever spikes are.
        input_shape: `[C, *space]` or `[F]` of one sample and one time slice.
        output_shape: in the form of `input_shape`.
        norms: names of the BatchNorms between the layer and the neurons that it feeds.
        macs: dense multiply-accumulates of one sample and one time slice, borders included.
    """

    name: str
    kind: str
    feeds: tuple[str, ...]
    sources: tuple[str, ...]
    binary: bool
    input_shape: torch.Size
    output_shape: torch.Size
    norms: tuple[str, ...]
    macs: int


@dataclass(frozen=True)
class Wiring:
    """The layers of a model and the neurons between them.

    Attributes:
        layers: by name, in the model's order.
        neurons: number of channels of each neuron module, by name, in the model's order.
    """

    layers: dict[str, Layer]
    neurons: dict[str, int]

    def spread(self, layer: str, values: Mapping[str, Tensor]) -> Tensor:
        """Return values of the neurons' channels as values of a layer's output channels, `[C_out]`.

        If the layer feeds several neurons, this is their mean. Behind a flatten, a channel takes
        the mean over its block of positions.

        Args:
            layer: name of a layer that feeds a neuron.
            values: `[C]` by neuron, for all neurons that the layer feeds.

        Raises:
            ModelError: the layer feeds no spiking neuron.
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
        """Estimate how often each input channel of a layer is not zero.

        Args:
            layer: name of a layer.
            rates: firing rate `[C]` of every neuron, by name.

        Returns:
            `[C_in]` in [0, 1]; behind a flatten `[C * positions]`, a channel's rate repeated. All
            entries are 1 if the layer reads the image or another layer. Several sources count as
            independent, 1 - prod(1 - rate), which is exact in expectation for an additive join of
            independent spikes and too high for AND and IAND. Pooling in between, which raises the
            rate, is ignored.
        """
        found = self.layers[layer]
        inputs = found.input_shape[0]
        if not found.sources:
            return torch.ones(inputs).to(next(iter(rates.values())))
        silent = torch.stack([1 - rates[name] for name in found.sources]).prod(0)
        return (1 - silent).repeat_interleave(inputs // len(silent))
