"""How much a BatchNorm stretches what passes it, per channel."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spikeprune.errors import ModelError


@torch.no_grad()
def norm_gain(model: nn.Module, norms: Iterable[str], channels: int) -> Tensor:
    """Return `|gamma| / sqrt(running_var + eps)`, `[channels]`; 1 without a BatchNorm.

    Several norms behind one layer give their mean; behind a flatten a channel takes the mean over
    its block of positions.

    Args:
        model: holds the norms.
        norms: their names.
        channels: output channels of the layer in front.

    Raises:
        ModelError: a norm without running statistics.
    """
    gains = []
    for name in norms:
        norm = model.get_submodule(name)
        variance = norm.running_var
        if not isinstance(variance, Tensor):
            raise ModelError(
                f"expected a BatchNorm with running statistics to tell how far {name!r} stretches "
                "potentials, got one without; set track_running_stats=True"
            )
        gamma = norm.weight if isinstance(norm.weight, Tensor) else torch.ones_like(variance)
        eps = norm.eps
        assert isinstance(eps, float)
        gain = gamma.abs() / (variance + eps).sqrt()
        gains.append(gain.reshape(channels, -1).mean(1))
    if not gains:
        return torch.ones(channels)
    return torch.stack(gains).mean(0)
