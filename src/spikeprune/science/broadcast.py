"""From one value per channel to a tensor that broadcasts to a weight."""

from torch import Tensor

from spikeprune.errors import ModelError


def per_output(weight: Tensor, channel_score: Tensor) -> Tensor:
    """Arrange one value per output channel as `[C_out, 1, ...]`.

    Raises:
        ModelError: Not one value per output channel.
    """
    if channel_score.shape != weight.shape[:1]:
        raise ModelError(
            f"expected {weight.shape[0]} channel scores for a weight of shape "
            f"{tuple(weight.shape)}, got shape {tuple(channel_score.shape)}"
        )
    return channel_score.detach().reshape(-1, *[1] * (weight.ndim - 1))


def per_input(weight: Tensor, rate: Tensor) -> Tensor:
    """Arrange one value per input channel as `[1 or C_out, C_in / groups, 1, ...]`.

    Raises:
        ModelError: Not one value per input channel.
    """
    outputs, inputs = weight.shape[:2]
    groups, left_over = divmod(rate.numel(), inputs)
    if rate.ndim != 1 or left_over or groups == 0 or outputs % groups:
        raise ModelError(
            f"expected one rate for each input channel of a weight of shape "
            f"{tuple(weight.shape)}, got shape {tuple(rate.shape)}"
        )
    table = rate.detach().reshape(groups, inputs)
    if groups > 1:
        table = table.repeat_interleave(outputs // groups, dim=0)
    return table.reshape(*table.shape, *[1] * (weight.ndim - 2))
