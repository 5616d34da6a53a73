"""What the weights of every layer read before an event, for a budget of SynOps."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from spikeprune.distributed.collectives import sum_over_ranks
from spikeprune.measuring.synops import Counts, counting
from spikeprune.wiring.wiring import Wiring


@final
class WeightOperands:
    """Counts the non-zero operands of every weight between `arm` and `disarm`, or in a `with`.

    A weight reads what its position in the kernel meets, at all outputs and time steps. The count
    is the evaluation's (`measuring.synops`) on fewer samples, so borders, pooling, additive joins
    and layers that run once for all time steps count as they do there.

    Args:
        model: the net, with the layers of `wiring` under their names.
        wiring: of the net.
        train: whether to count forwards in training mode, or those in eval mode.

    Raises:
        ModelError: (while armed) as `measuring.synops.counting`.
    """

    def __init__(self, model: nn.Module, wiring: Wiring, *, train: bool) -> None:
        self._model, self._wiring, self._train = model, wiring, train
        self._stack, self._counts = ExitStack(), Counts()
        self._armed = False

    def arm(self) -> None:
        """Start counting, from nothing."""
        self.disarm()
        found = counting(self._model, self._wiring, train=self._train)
        self._counts = self._stack.enter_context(found)
        self._armed = True

    def disarm(self) -> None:
        """Stop counting and let go of every layer; what was counted stays for `compute`."""
        self._stack.close()
        self._armed = False

    def compute(self, samples: int) -> dict[str, Tensor]:
        """Return reads per sample over all T by layer, of all ranks together. Collective.

        Args:
            samples: that all ranks have run.

        Returns:
            `[C_in, *kernel]` float64, of a linear layer `[F_in]`: times the live weights there
            (`science.cost.conv_fan_out`) it gives the layer's SynOps.
        """
        found = {name: count.reads().double() for name, count in self._counts.layers.items()}
        total = sum_over_ranks(torch.cat([reads.flatten() for reads in found.values()]))
        parts = torch.split(total / samples, [reads.numel() for reads in found.values()])
        return {n: part.view_as(found[n]) for n, part in zip(found, parts, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as tensors and plain values."""
        layers = self._counts.layers if self._armed else {}
        counted = {n: count.state_dict() for n, count in layers.items()}
        return {"armed": self._armed, "layers": counted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: armed or not, with the sums so far."""
        self.disarm()
        if state["armed"]:
            self.arm()
            for name, count in self._counts.layers.items():
                count.load_state_dict(state["layers"][name])

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *error: object) -> None:
        self.disarm()
