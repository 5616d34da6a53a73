"""Optimiser state of weights that died or came back (method, section 3, step 5)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["reset_state"]

# Running means of squared gradients: a zero here, with a late step count, would make the first
# updates of a returned weight several times the learning rate.
SECOND_MOMENTS = frozenset({"exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum"})


def reset_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    kept: Mapping[str, Tensor],
) -> None:
    """Forget what the optimiser knows of every weight outside `kept`.

    First moments and momentum become 0; second moments become the mean over the tensor's kept
    weights (over all of them when none is kept). State that is not shaped like its parameter is
    left alone.
    """
    for name, parameter in parameters.items():
        drop = ~kept[name].to(parameter.device)
        for key, value in optimizer.state.get(parameter, {}).items():
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                continue
            fill = 0.0
            if key in SECOND_MOMENTS:
                fill = float((value if drop.all() else value[~drop]).float().mean())
            value.masked_fill_(drop, fill)
