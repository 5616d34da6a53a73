"""A penalty on synaptic operations in the loss: the count of an evaluation, with a gradient."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.speedups import computed
from spikeprune.adapters.toolkit import Watching, first_input
from spikeprune.errors import ConfigError, ObservationError
from spikeprune.execution.recomputing import recomputing
from spikeprune.measuring.synops import LayerCount, position_sums
from spikeprune.wiring.wiring import Layer, Wiring

Loss = Callable[..., Tensor]


@contextmanager
def synops_penalty(
    model: nn.Module,
    loss: Loss,
    weight: float,
    *,
    wiring: Wiring,
    dense_synops: Mapping[str, float],
) -> Iterator[Loss]:
    """Yield the loss `loss + weight x SynOps / SynOps of the dense net`; then no hook is left.

    SynOps are non-zero operands times the live (non-zero) weights that read them, per sample over
    all T, summed over the layers of `wiring`: the count of `evaluate`, of the batch that is trained
    on. So an operation has the same price throughout, and the penalty is `weight` where the net
    takes as many as the dense net does.

    The gradient is that of spikes x live fan-out, and runs through the surrogates. An operand made
    of several spikes (average pool, additive join) counts once if it is not 0, and has the gradient
    of its size. What reads the input of the net has no gradient.

    Args:
        model: the net that is trained, with the layers of `wiring`.
        loss: logits `[T, B, K]` or `[B, K]`, and whatever else it takes, to a scalar.
        weight: at least 0; 0 gives `loss` itself.
        wiring: as of `Pruner.wiring` or `trace`.
        dense_synops: SynOps per sample of the dense net by layer, as for `Pruner`.

    Raises:
        ConfigError: SynOps of a layer are missing, or all are 0.
        ObservationError: (by the loss) no forward in training mode since the last call.

    Source: method, section 9.5.
    """
    if weight == 0:
        yield loss
        return
    total = _total(wiring, dense_synops)
    operations: list[Tensor] = []

    def penalised(logits: Tensor, *rest: Any) -> Tensor:
        if not operations:
            raise ObservationError(
                "expected a forward in training mode before its loss, to penalise SynOps by, got "
                "none"
            )
        share = torch.stack(operations).sum() / (logits.shape[-2] * total)
        operations.clear()
        return loss(logits, *rest) + weight * share.to(logits.dtype)

    with ExitStack() as stack:
        for name, layer in wiring.layers.items():
            hook = Watching(_hook(model, layer, operations))
            module = model.get_submodule(name)
            stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield penalised


def _total(wiring: Wiring, dense_synops: Mapping[str, float]) -> float:
    missing = next((name for name in wiring.layers if name not in dense_synops), None)
    total = 0.0 if missing else sum(dense_synops[name] for name in wiring.layers)
    if total <= 0:
        wrong = f"none of {missing!r}" if missing else "0 in sum"
        raise ConfigError(
            f"expected SynOps per sample of the dense net for every layer, got {wrong}; give "
            "dense_synops={row.name: row.synops for row in evaluate(dense_net, ...).layers}"
        )
    return total


def _hook(model: nn.Module, layer: Layer, operations: list[Tensor]) -> Callable[..., None]:
    def hook(module: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        if not (model.training and torch.is_grad_enabled()) or recomputing():
            return
        x = computed(module, first_input(args, kwargs))
        axes = module.weight.ndim - 1
        count = LayerCount(module, output_size=tuple(output.shape[output.ndim - axes + 1 :]))
        operations.append(count.operations(_operands(x, axes, spikes=bool(layer.sources))))

    return hook


def _operands(x: Tensor, axes: int, *, spikes: bool) -> Tensor:
    """Return the non-zero operands by input position; those made of spikes have a gradient."""
    counts = position_sums(x.detach(), axes, lambda part: (part != 0).float()).double()
    if not (spikes and x.requires_grad):
        return counts
    # An `abs` has no gradient at 0, where a neuron is silent.
    ahead = tuple(range(x.ndim - axes))
    sizes = torch.where(x < 0, -x, x).sum(ahead, dtype=torch.float32).double()
    return counts + (sizes - sizes.detach())
