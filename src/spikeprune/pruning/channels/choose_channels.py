"""The event of channel pruning with regrowth: Algorithm 2 (method, section 4) under a budget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from spikeprune.errors import BudgetError
from spikeprune.pruning.options import ChannelOptions, PruneOptions, floor_share
from spikeprune.science.select import top_k
from spikeprune.wiring.tied_channels import ChannelGroup
from spikeprune.wiring.wiring import Layer, Wiring

Live = dict[str, Tensor]


@dataclass(frozen=True)
class ChannelEvent:
    """Outcome of the event, one boolean tensor [n] per group of tied channels.

    `cost` is at most `budget` (unit: the option's); `forced` counts the channels that floors or
    rounding brought back.
    """

    kept: Live
    regrown: Live
    cost: float
    budget: float
    total: float
    forced: dict[str, int]

    @property
    def live(self) -> Live:
        """Kept or regrown."""
        return {name: kept | self.regrown[name] for name, kept in self.kept.items()}


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

    `synops` takes an input channel's share of a layer's operations from `reads` (per sample, by
    layer, see `measuring.weight_operands`; without, all read alike), and the operations of the whole layer from
    the dense net, where they are given: the penalty before the event makes a net fire less than it
    will at the end, when it has trained on without.
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


class _Chooser:
    """Which channels live when `count` of them may, before and after floors and rounding."""

    def __init__(
        self, ranking: Mapping[str, Tensor], growth: Mapping[str, Tensor] | None, fraction: float
    ) -> None:
        self.names = tuple(ranking)
        self.ranking = [ranking[name] for name in self.names]
        self.growth = [growth[name] for name in self.names] if growth is not None else None
        self.fraction = fraction if growth is not None else 0.0

    def choose(self, count: int) -> tuple[list[Tensor], list[Tensor]]:
        grow = floor_share(self.fraction, count)
        every = [torch.ones_like(r, dtype=torch.bool) for r in self.ranking]
        kept = top_k(self.ranking, count - grow, candidates=every, tie=None)
        if self.growth is None or grow == 0:
            return kept, [torch.zeros_like(k) for k in kept]
        rest = [~k for k in kept]
        return kept, top_k(self.growth, grow, candidates=rest, tie=self.ranking)

    def fitted(self, count: int, options: ChannelOptions) -> tuple[Live, Live, dict[str, int]]:
        """Return kept, regrown and how many channels floors and rounding added, per group."""
        kept: Live = {}
        regrown: Live = {}
        forced: dict[str, int] = {}
        rows = zip(self.names, self.ranking, *self.choose(count), strict=True)
        for name, rank, keep, grow in rows:
            chosen = int((keep | grow).sum())
            wanted = _allowed(chosen, len(rank), options)
            # Chosen channels go first, in the order of their rank; a regrown one stays regrown.
            order = (rank.double().argsort(stable=True).argsort() + 1) + len(rank) * (keep | grow)
            stay = torch.zeros_like(keep)
            stay[order.argsort(descending=True)[:wanted]] = True
            kept[name], regrown[name] = stay & ~grow, stay & grow
            if wanted > chosen:
                forced[name] = wanted - chosen
        return kept, regrown, forced


def _allowed(count: int, size: int, options: ChannelOptions) -> int:
    """Round a channel count down to the multiple asked for, not below the floor."""
    step = options.round_to
    floor = min(size, -(-options.floor // step) * step)
    return min(size, max(floor, count // step * step if count < size else count))


def prune_channels(
    ranking: Mapping[str, Tensor],
    growth: Mapping[str, Tensor] | None,
    cost: CostModel,
    options: PruneOptions,
) -> ChannelEvent:
    """Choose the channels that live: the largest cost not above the budget (section 4, step 2).

    Channels are ranked over all groups; of those that live, floor(r C) come by regrowth. With
    groups of cost 1 exactly C = floor((1 - sparsity) x total) live; with dearer ones (tied
    channels, MACs) the gap to the budget is smaller than the next channel's cost.

    Raises:
        BudgetError: floors alone exceed the budget.
    """
    chooser = _Chooser(ranking, growth, options.fraction)
    total = cost({name: torch.ones_like(r, dtype=torch.bool) for name, r in ranking.items()})
    budget = (1 - options.sparsity) * total * (1 + 1e-9)

    def fits(count: int) -> bool:
        kept, regrown, _ = chooser.fitted(count, options.channels)
        return cost({name: kept[name] | regrown[name] for name in kept}) <= budget

    if not fits(0):
        raise BudgetError(
            f"the floors alone exceed the budget: {options.channels.floor} channel(s) per layer "
            f"(multiples of {options.channels.round_to}) cost more than {budget:.6g} of "
            f"{total:.6g} {options.channels.budget}; lower the sparsity ({options.sparsity}) or "
            "the floor"
        )
    low, high = 0, sum(len(r) for r in ranking.values())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    kept, regrown, forced = chooser.fitted(low, options.channels)
    spent = cost({name: kept[name] | regrown[name] for name in kept})
    return ChannelEvent(kept, regrown, spent, budget, total, forced)
