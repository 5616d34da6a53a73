"""A penalty on firing: the mean rate of all spiking neurons, added to the loss."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.registry import spiking_neurons
from spikeprune.errors import ObservationError
from spikeprune.execution.recomputing import recomputing

Loss = Callable[..., Tensor]


@contextmanager
def rate_penalty(model: nn.Module, loss: Loss, weight: float) -> Iterator[Loss]:
    """Yield the loss `loss + weight x mean firing rate`; afterwards no hook is left.

    The rate is the mean over neurons, time steps, samples and positions of the spikes since the
    last loss; its gradient runs through the surrogates. Only forwards in training mode with
    gradients count.

    Args:
        model: spiking neurons of one framework.
        loss: logits `[T, B, K]`, targets and whatever else it takes to a scalar.
        weight: at least 0; 0 gives `loss` itself.

    Raises:
        ModelError: no spiking neurons.
        ObservationError: (by the loss) no forward since the last call.
    """
    if weight == 0:
        yield loss
        return
    spikes: list[Tensor] = []
    counts: list[int] = []

    def hook(neuron: nn.Module, _: Any, output: Any) -> None:
        if neuron.training and torch.is_grad_enabled() and not recomputing():
            emitted: Tensor = output[0] if isinstance(output, tuple) else output
            spikes.append(emitted.sum(dtype=torch.promote_types(emitted.dtype, torch.float32)))
            counts.append(emitted.numel())

    def penalised(*batch: Any) -> Tensor:
        if not counts:
            raise ObservationError(
                "expected a forward in training mode before its loss, to penalise firing rates by, "
                "got none"
            )
        rate = torch.stack(spikes).sum() / sum(counts)
        spikes.clear()
        counts.clear()
        return loss(*batch) + weight * rate

    with ExitStack() as stack:
        for neuron in spiking_neurons(model).values():
            stack.callback(neuron.register_forward_hook(hook).remove)
        yield penalised
