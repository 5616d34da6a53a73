"""The cost of a net as a function of its live channels."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from spikeprune.pruning.option_types import OPERATIONS
from spikeprune.science.cost import operation_nj
from spikeprune.wiring.tied_channels import ChannelGroup
from spikeprune.wiring.wiring import Layer, Wiring


@dataclass(frozen=True)
class _Term:
    """One product of the cost: unit x live share of the outputs x live share of the inputs."""

    unit: float
    outs: dict[str, Tensor]  # share of each channel of a group, [n], by group
    ins: dict[str, Tensor]


@dataclass(frozen=True)
class CostModel:
    """Cost of a net as a function of its live channels: a sum of products."""

    unit: str  # such as `macs`
    terms: tuple[_Term, ...]

    def __call__(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost of the live channels, bool `[n]` by group; absent groups stay whole."""
        return sum(self.by_term(live))

    def by_term(self, live: Mapping[str, Tensor]) -> list[float]:
        """Return the cost by term: for all units but `parameters` and `channels`, by layer."""
        return [t.unit * _live_share(t.outs, live) * _live_share(t.ins, live) for t in self.terms]

    def of_channels(self, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Return the cost of each channel of the whole net, `[n]` float64 by group.

        It is that of its incoming and of its outgoing products.
        """
        costs = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
        for term in self.terms:
            for side in (term.outs, term.ins):
                for group, share in side.items():
                    costs[group] += term.unit * share
        return costs


def _live_share(shares: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> float:
    rest = 1.0
    for group, share in shares.items():
        if group in live:
            rest -= float(share[~live[group]].sum())
    return rest


def _group_shares(
    groups: tuple[ChannelGroup, ...], module: str, role: str, weights: Tensor
) -> dict[str, Tensor]:
    """Return the share of a module's channels, weighted by `weights`, by group and channel."""
    total = weights.sum().clamp_min(1e-12)  # nothing fires: the term is 0 whatever the shares
    shares: dict[str, Tensor] = {}
    for group in groups:
        for member in group.members:
            if member.module == module and member.role == role:
                shares[group.name] = weights[member.index].sum(1) / total
    return shares


def _ones(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.float64)


def cost_model(
    model: nn.Module,
    groups: tuple[ChannelGroup, ...],
    wiring: Wiring,
    *,
    budget: str,
    operands: Mapping[str, Tensor] = MappingProxyType({}),
    multiplying: Collection[str] = (),
    dense_synops: Mapping[str, float] | None = None,
) -> CostModel:
    """Build the cost of the net: `channels`, `parameters`, `weights`, `macs`, `synops`, `energy`.

    `channels` counts the output channels of the layers in `groups`, so a tied channel counts once
    per layer.

    `energy`, in nJ, is that of the SynOps; layers in `multiplying` take more for each. For both, an
    input channel's share of a layer's cost is its share of the layer's non-zero
    inputs, `operands` (per sample, by layer, see `measuring.weight_operands`; uniform if empty).
    The layer's total comes from the dense net if `dense_synops` is given: the L1 penalty lowers
    firing rates before the event, and they rise again in fine-tuning.
    """
    terms: list[_Term] = []
    for name, layer in wiring.layers.items():
        weight = model.get_submodule(name).get_parameter("weight")
        sides = weight.shape[1::-1] if layer.kind == "transposed" else weight.shape[:2]
        if budget in OPERATIONS:
            term = _synops(groups, layer, sides, operands.get(name), dense_synops)
            nj = operation_nj(multiplies=name in multiplying) if budget == "energy" else 1.0
            terms.append(replace(term, unit=term.unit * nj))
            continue
        outs = _group_shares(groups, name, "out", _ones(sides[0]))
        if budget == "channels":
            terms += [_Term(sides[0], outs, {})] if outs else []
            continue
        ins = _group_shares(groups, name, "in", _ones(sides[1]))
        terms.append(_Term(layer.macs if budget == "macs" else weight.numel(), outs, ins))
    if budget == "parameters":
        terms += _other_parameters(model, groups, wiring)
    return CostModel(budget, tuple(terms))


def _synops(
    groups: tuple[ChannelGroup, ...],
    layer: Layer,
    sides: torch.Size,
    operands: Tensor | None,
    dense_synops: Mapping[str, float] | None,
) -> _Term:
    n_out, n_in = sides
    if operands is None:
        reads, unit = _ones(n_in), float(layer.macs)
    else:
        reads = operands.flatten(1).sum(1) if operands.ndim > 1 else operands
        reads = reads.to("cpu", torch.float64)
        unit = float(reads.sum()) * n_out * n_in / len(reads)  # n_in inputs feed each output
    if dense_synops is not None:
        unit = dense_synops[layer.name]
    if len(reads) > n_in:  # depthwise: an output reads its own channel alone
        return _Term(unit, _group_shares(groups, layer.name, "out", reads), {})
    outs = _group_shares(groups, layer.name, "out", _ones(n_out))
    return _Term(unit, outs, _group_shares(groups, layer.name, "in", reads))


def _other_parameters(
    model: nn.Module, groups: tuple[ChannelGroup, ...], wiring: Wiring
) -> Iterator[_Term]:
    """Yield the terms of biases, norms and neurons; a parameter without channels is constant."""
    owners = {m.module: m for g in groups for m in g.of("out", "norm", "state", "tensor")}
    for name, parameter in model.named_parameters():
        path, _, local = name.rpartition(".")
        if path in wiring.layers and local == "weight":
            continue
        held = (m for n, m in owners.items() if f"{name}.".startswith(f"{n}." if n else ""))
        owner = next(held, None)
        shares: dict[str, Tensor] = {}
        if owner is not None and parameter.numel() == owner.size:
            shares = _group_shares(groups, owner.module, owner.role, _ones(owner.size))
        yield _Term(parameter.numel(), shares, {})
