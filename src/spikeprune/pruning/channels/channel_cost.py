"""The cost of a net as a function of its live channels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from spikeprune.wiring.tied_channels import ChannelGroup
from spikeprune.wiring.wiring import Layer, Wiring


@dataclass(frozen=True)
class _Term:
    """One product of the cost: unit x share of live outputs x share of live inputs."""

    unit: float
    outs: dict[str, Tensor]
    ins: dict[str, Tensor]


@dataclass(frozen=True)
class CostModel:
    """Cost of a net as a function of which channels live: sum of unit x outputs x inputs."""

    terms: tuple[_Term, ...]

    def __call__(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost when `live[group]` (bool [n]) stays; absent groups stay whole."""
        return sum(t.unit * _share(t.outs, live) * _share(t.ins, live) for t in self.terms)


def _share(shares: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> float:
    rest = 1.0
    for group, share in shares.items():
        if group in live:
            rest -= float(share[~live[group]].sum())
    return rest


def _shares(
    groups: tuple[ChannelGroup, ...], module: str, role: str, weights: Tensor
) -> dict[str, Tensor]:
    """Return the share of a module's (weighted) channels that each group's channels hold."""
    total = weights.sum().clamp_min(1e-12)  # nothing fires: the term is 0 whatever the shares
    shares: dict[str, Tensor] = {}
    for group in groups:
        for member in group.members:
            if member.module == module and member.role == role:
                shares[group.name] = weights[member.index].sum(1) / total
    return shares


def cost_model(
    model: nn.Module,
    groups: tuple[ChannelGroup, ...],
    wiring: Wiring,
    *,
    budget: str,
    reads: Mapping[str, Tensor] = MappingProxyType({}),
    dense_synops: Mapping[str, float] | None = None,
) -> CostModel:
    """Build the cost of the net in `channels`, `parameters`, `weights`, `macs` or `synops`.

    `channels` counts the output channels of the layers in `groups`, so a tied channel counts once
    per layer.

    For `synops`, an input channel's share of a layer's cost is its share of the layer's non-zero
    inputs, `reads` (per sample, by layer, see `measuring.weight_operands`; uniform if empty). The
    layer's total comes from the dense net if `dense_synops` is given: the L1 penalty lowers firing
    rates before the event, and they rise again in fine-tuning.
    """
    modules = dict(model.named_modules())
    terms: list[_Term] = []
    for name, layer in wiring.layers.items():
        weight = modules[name].weight
        assert isinstance(weight, Tensor)
        if budget == "synops":
            terms.append(_synops(groups, layer, weight, reads.get(name), dense_synops))
            continue
        n_out, n_in = weight.shape[:2]
        outs = _shares(groups, name, "out", torch.ones(n_out, dtype=torch.float64))
        ones = torch.ones(n_in, dtype=torch.float64)
        if budget == "channels":
            terms += [_Term(n_out, outs, {})] if outs else []
            continue
        ins = _shares(groups, name, "in", ones)
        terms.append(_Term(layer.macs if budget == "macs" else weight.numel(), outs, ins))
    if budget == "parameters":
        terms += _other_parameters(model, groups, wiring)
    return CostModel(tuple(terms))


def _synops(
    groups: tuple[ChannelGroup, ...],
    layer: Layer,
    weight: Tensor,
    reads: Tensor | None,
    dense_synops: Mapping[str, float] | None,
) -> _Term:
    n_out, n_in = weight.shape[:2]
    if reads is None:
        read, unit = torch.ones(n_in, dtype=torch.float64), float(layer.macs)
    else:
        read = reads.flatten(1).sum(1) if reads.ndim > 1 else reads
        read = read.to("cpu", torch.float64)
        unit = float(read.sum()) * n_out * n_in / len(read)  # of n_in inputs a group of outputs
    if dense_synops is not None:
        unit = dense_synops[layer.name]
    depthwise = len(read) > n_in  # an output reads its own channel alone
    written = read if depthwise else torch.ones(n_out, dtype=torch.float64)
    outs = _shares(groups, layer.name, "out", written)
    return _Term(unit, outs, {} if depthwise else _shares(groups, layer.name, "in", read))


def _other_parameters(
    model: nn.Module, groups: tuple[ChannelGroup, ...], wiring: Wiring
) -> Iterator[_Term]:
    """Yield the terms of biases, norms and neurons; what has no entry per channel is constant."""
    members = {m.module: m for g in groups for m in g.members if m.role != "in"}
    for name, parameter in model.named_parameters():
        path, _, local = name.rpartition(".")
        if path in wiring.layers and local == "weight":
            continue
        owners = (m for owner, m in members.items() if f"{path}.".startswith(f"{owner}."))
        owner = next(owners, None)
        shares: dict[str, Tensor] = {}
        if owner is not None and parameter.numel() == owner.size:
            ones = torch.ones(owner.size, dtype=torch.float64)
            shares = _shares(groups, owner.module, owner.role, ones)
        yield _Term(parameter.numel(), shares, {})
