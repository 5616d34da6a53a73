"""Which weights feed which neurons, and whose spikes a layer reads: found by a trace, not by names.

One time slice runs through the model with neurons passed through; hooks note the autograd node
of every layer, norm and neuron, and the graph between them is walked. Neurons emit random bits
there, so that whether an operand is binary follows from the graph and from no batch: additive
joins and average pooling leave {0, 1}, max pooling, reshaping, AND and IAND do not.
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
        sources: names of the neurons whose spikes it reads; empty where it reads the image, or
            another layer's analog output.
        binary: whether its operand is 0 or 1 whenever spikes are.
        input_shape: of one sample and one time slice, `[C, *space]` or `[F]`.
        output_shape: likewise.
        norms: names of the BatchNorms between the layer and the neurons that it feeds.
        macs: multiply-accumulates of one sample and one time slice, dense, borders included.
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
        """Bring one value per channel of the neurons to the output channels of a layer.

        A layer that feeds several neurons takes their mean. Where a flatten lies between a
        convolution and a neuron, a channel takes the mean over its block of positions.

        Args:
            layer: name of a layer that feeds a neuron.
            values: `[C]` per neuron, at least of those that the layer feeds.

        Returns:
            `[C_out]`.

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
            rates: firing rate `[C]` per neuron, of all neurons.

        Returns:
            `[C_in]` in [0, 1]; for a linear layer behind a flatten `[C * positions]`, a channel's
            rate repeated. Several sources are taken as independent, 1 - prod(1 - rate): exact in
            expectation for an additive join of independent spikes, too high for AND and IAND.
            Pooling on the way, which raises the rate, is left out. Where the layer reads the
            image or another layer, every entry is 1.
        """
        found = self.layers[layer]
        inputs = found.input_shape[0]
        if not found.sources:
            return torch.ones(inputs).to(next(iter(rates.values())))
        silent = torch.stack([1 - rates[name] for name in found.sources]).prod(0)
        return (1 - silent).repeat_interleave(inputs // len(silent))
