"""Rewinding of iterative magnitude pruning: earlier values under the present masks."""

from collections.abc import Mapping

from torch import Tensor

from spikeprune.pruning.pruner import Pruner
from spikeprune.science.masks import apply_


def rewind(pruner: Pruner, tensors: Mapping[str, Tensor]) -> None:
    """Give the pruner's net earlier values; dead weights stay 0, the optimiser starts anew.

    `tensors` is a state_dict of the model, BatchNorm statistics included.

    Source: Frankle and Carbin, 2019; rewinding to early epochs as Kim et al., 2022.
    """
    pruner.model.load_state_dict(dict(tensors))
    apply_(dict(pruner.model.named_parameters()), pruner.mask)
    pruner.optimizer.state.clear()
