"""Criteria measured at initialization, by passes of their own on a copy of the untrained net."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune.adapters.registry import as_one_slice
from spikeprune.adapters.rest import reset
from spikeprune.adapters.speedups import unfuse
from spikeprune.data.batches import pair_of
from spikeprune.errors import ConfigError, ModelError, one_line
from spikeprune.execution.forward import Layout, forward
from spikeprune.science import saliency
from spikeprune.wiring.wiring import Wiring

SYNFLOW_ROUNDS = 100
"""Rounds of pruning and measuring; each keeps the same share of the live weights."""

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class InitialNet:
    """The untrained net and the batches that a criterion measures it on."""

    model: nn.Module  # stays as it is, statistics of norms included
    layers: tuple[str, ...]  # the prunable ones
    example: Tensor  # one slice of input, [B, C, H, W] or [B, F]; values do not matter
    time_steps: int
    layout: Layout = "sequence"  # how the model is called, see `execution.forward`
    batches: Sequence[tuple[Tensor, Tensor]] = ()  # pairs of input and target
    loss: Loss | None = None  # logits [T, B, K] and targets to a scalar

    def copied(self) -> tuple[nn.Module, dict[str, Tensor]]:
        """Return a copy of the net, state at rest, and the weights of its prunable layers."""
        reset(self.model)  # a state under way has a graph behind it
        model = copy.deepcopy(self.model)
        weights = {n: model.get_submodule(n).get_parameter("weight") for n in self.layers}
        return model, {n: weight.requires_grad_() for n, weight in weights.items()}

    def losses(self, model: nn.Module) -> Iterator[Tensor]:
        """Yield the loss of every batch, in training mode."""
        if self.loss is None or not self.batches:
            raise ConfigError(
                "this saliency needs the loss of training batches before the first step; call "
                "pruner.begin(batches, loss) with pairs of input and target"
            )
        model.train()
        for x, y in map(pair_of, self.batches):
            logits = forward(model, x, time_steps=self.time_steps, layout=self.layout)
            yield self.loss(logits, y) / len(self.batches)


def _gradients(
    value: Tensor, weights: Mapping[str, Tensor], *, create_graph: bool = False
) -> dict[str, Tensor]:
    try:
        found = torch.autograd.grad(
            value, list(weights.values()), create_graph=create_graph, allow_unused=True
        )
    except RuntimeError as error:
        raise ModelError(
            f"the gradients that this saliency needs cannot be taken ({error}); use neurons whose "
            "surrogate can be differentiated twice, or another method"
        ) from error
    for name, gradient in zip(weights, found, strict=True):
        if gradient is None:
            raise ModelError(
                f"{name!r} got no gradient, so its weights cannot be ranked; exclude the layer"
            )
    return dict(zip(weights, found, strict=True))


def _sum(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    total: dict[str, Tensor] = {}
    for new in parts:
        total = {n: total[n] + t.detach() if total else t.detach() for n, t in new.items()}
    return total


def snip(net: InitialNet) -> dict[str, Tensor]:
    """Return `|g w|` by layer, `g` the gradient of the mean loss over all T and all batches.

    A weight is shared by all time steps, so its gradient is the sum over them.

    Source: Lee et al., 2019 (SNIP).
    """
    model, weights = net.copied()
    gradient = _sum(_gradients(loss, weights) for loss in net.losses(model))
    return {n: saliency.connection_sensitivity(w, gradient[n]) for n, w in weights.items()}


def grasp(net: InitialNet) -> dict[str, Tensor]:
    """Return `w (H g)` by layer: what is kept preserves the flow of gradients.

    `H g` is the gradient of `g . stop(g)`; the second derivative goes through the surrogate's own
    derivative. Fused neurons have none, so the copy that is measured is unfused.

    Source: Wang et al., 2020 (GraSP), at temperature 1.
    """
    model, weights = net.copied()
    unfuse(model)
    gradient = _sum(_gradients(loss, weights) for loss in net.losses(model))

    def flow(loss: Tensor) -> Tensor:
        own = _gradients(loss, weights, create_graph=True)
        return torch.stack([(own[n] * gradient[n]).sum() for n in weights]).sum()

    product = _sum(_gradients(flow(loss), weights) for loss in net.losses(model))
    return {n: saliency.gradient_flow(w, product[n]) for n, w in weights.items()}


def synflow(net: InitialNet) -> dict[str, Tensor]:
    """Return `|w| dR/d|w|` by layer for `R`, the sum of the outputs of the linearised net.

    The linearised net has the weights `|w|`, no biases, BatchNorms that multiply by
    `|gamma| / sqrt(var + eps)`, neurons that pass their input on, and an input of ones. Without
    spikes a potential is a weighted sum over past inputs with the same positive weights for all
    neurons of a layer, so summing potentials over T scales each layer by a constant; where no skip
    connection joins paths of other lengths that changes no rank, and one slice stands for all T.
    Computed in double precision: R is a product over layers.

    Source: Tanaka et al., 2020 (SynFlow).
    """
    model, x = _linearised(net)
    weights = {n: model.get_submodule(n).get_parameter("weight") for n in net.layers}
    with as_one_slice(model):
        flow = _gradients(model(x).sum(), weights)
    return {n: (w * flow[n]).detach() for n, w in weights.items()}


def _linearised(net: InitialNet) -> tuple[nn.Module, Tensor]:
    """Return a copy of the net with absolute weights and no biases, and an input of ones."""
    model, _ = net.copied()
    model.double().eval()
    for module in model.modules():
        _linearise(module)
    return model, torch.ones_like(net.example[:1], dtype=torch.float64)


@torch.no_grad()
def check_synflow(net: InitialNet, wiring: Wiring) -> None:
    """Refuse a net that is not linear without its biases and with neurons that pass on.

    Raises:
        ModelError: neurons that cannot pass their input on, or a net that takes no single slice.
    """
    hint = "use another saliency, such as snip"
    if wiring.sites:
        raise ModelError(
            "synflow needs neurons that pass their input on, which those that are found by their "
            f"spike function cannot ({', '.join(wiring.sites)}); {hint}"
        )
    try:
        model, x = _linearised(net)
        with as_one_slice(model):
            one, two = (model(scale * x) for scale in (1, 2))
        linear = torch.allclose(two, 2 * one)
    except Exception as error:  # anything that the user's forward raises
        raise ModelError(
            f"synflow runs one time slice of ones in double precision, on which "
            f"{type(net.model).__name__} fails ({one_line(error)}); {hint}"
        ) from error
    if not linear:
        raise ModelError(
            f"synflow needs a net that is linear once its neurons pass their input on, which "
            f"{type(net.model).__name__} is not; {hint}"
        )


@torch.no_grad()
def _linearise(module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        parameter.abs_()
    if isinstance(module, _BatchNorm) and module.running_mean is not None:
        module.running_mean.zero_()
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        bias.zero_()
