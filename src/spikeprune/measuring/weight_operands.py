"""Operands that the weights of every layer read before an event, for budgets of operations."""

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

    A weight reads the operands that its kernel position meets, at all outputs and time steps. This
    is the count of an evaluation (`measuring.synops`, with its errors) on fewer samples: borders,
    pooling, additive joins and layers that run once for all time steps count as they do there.
    Forwards count in training mode or, without `train`, in eval mode.
    """

    def __init__(self, model: nn.Module, wiring: Wiring, *, train: bool) -> None:
        self._model, self._wiring, self._train = model, wiring, train
        self._stack, self._counts = ExitStack(), Counts()
        self._armed = False

    def arm(self) -> None:
        """Start counting from zero."""
        self.disarm()
        counted = counting(self._model, self._wiring, train=self._train)
        self._counts = self._stack.enter_context(counted)
        self._armed = True

    def disarm(self) -> None:
        """Stop counting and remove all hooks; the counts stay for `compute`."""
        self._stack.close()
        self._armed = False

    def compute(self, samples: int) -> dict[str, Tensor]:
        """Return operands per sample over all T by layer, summed over ranks. Collective.

        `samples` is the number of samples of all ranks. The result is `[C_in, *kernel]` float64
        (linear: `[F_in]`); times `science.cost.conv_fan_out` it gives the layer's SynOps.
        """
        found = {name: count.reads().double() for name, count in self._counts.layers.items()}
        total = sum_over_ranks(torch.cat([reads.flatten() for reads in found.values()]))
        parts = torch.split(total / samples, [reads.numel() for reads in found.values()])
        return {n: part.view_as(found[n]) for n, part in zip(found, parts, strict=True)}

    def multiplying(self) -> frozenset[str]:
        """Return the layers that multiply: some operand, of any rank, was no spike. Collective."""
        layers = self._wiring.layers
        found = [not count.accumulates(layers[n]) for n, count in self._counts.layers.items()]
        ranks = sum_over_ranks(torch.tensor(found, dtype=torch.float64))
        return frozenset(n for n, rank in zip(self._counts.layers, ranks, strict=True) if rank)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, as tensors and plain values."""
        layers = self._counts.layers if self._armed else {}
        counted = {n: count.state_dict() for n, count in layers.items()}
        return {"armed": self._armed, "layers": counted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`: armed or not, with its sums."""
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
