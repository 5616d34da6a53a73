"""One event of weight pruning with regrowth: Algorithm 1 (method, section 3) on named tensors."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from types import MappingProxyType

import torch
from torch import Tensor

from spikeprune.errors import BudgetError, ConfigError
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import Selection
from spikeprune.science.allocation import floor_share, kept_counts, limit_counts
from spikeprune.science.memory_order import live_count
from spikeprune.science.ranked_values import Magnitude, Ranked
from spikeprune.science.select import keep_and_regrow


@dataclass(frozen=True)
class Pool:
    """Layers ranked together; they keep `keep` weights by saliency and regrow `grow`."""

    layers: tuple[str, ...]
    keep: int
    grow: int


def _limits(names: Collection[str], options: PruneOptions) -> dict[str, tuple[float, float]]:
    limits: dict[str, tuple[float, float]] = {}
    for pattern, (low, high) in options.limits.items():
        hits = [name for name in names if fnmatchcase(name, pattern)]
        if not hits:
            raise ConfigError(f"the density limit {pattern!r} matches none of: {', '.join(names)}")
        limits |= dict.fromkeys(hits, (low, high))
    return limits


def _paced(
    limits: Mapping[str, tuple[float, float]],
    live: Mapping[str, Tensor],
    density: float,
    final: float,
) -> dict[str, tuple[float, float]]:
    """Return the limits of this event; the highest densities hold from the last event on.

    A layer above its upper limit shrinks at the net's pace: each event removes from its excess the
    same fraction that it removes from all weights still to be pruned. So the limits never ask for
    more than an event removes, and no other layer has to grow for a limited one to shrink.
    """
    count = {name: live_count(mask) for name, mask in live.items()}
    size = {name: mask.numel() for name, mask in live.items()}
    total, alive = sum(size.values()), sum(count.values())
    drop, left = alive - round(density * total), alive - round(final * total)
    excess = {n: max(0, count[n] - limit_counts(pair, size[n])[1]) for n, pair in limits.items()}
    paced, before, gone = {}, 0, 0
    for name, (low, high) in limits.items():
        before += excess[name]
        until = -(-before * drop // left) if left else 0  # of all layers up to this one
        ceiling = (count[name] - (until - gone)) / size[name] if excess[name] else high
        paced[name], gone = (min(low, ceiling), ceiling), until
    return paced


def check_target(weights: Mapping[str, Tensor], options: PruneOptions) -> None:
    """Refuse, before any training, a final density that the options do not allow."""
    density = 1 - options.sparsity
    total = sum(weight.numel() for weight in weights.values())
    if round(density * total) < 1:
        raise BudgetError(
            f"no weight would be left: {total} prunable weights at density {density:.3g}; lower "
            "the sparsity"
        )
    least = sum(layer_floors(_all_live(weights), density * options.least_share).values())
    if least > round(density * total):
        raise BudgetError(
            f"the floors keep {least:,} weights, more than the {round(density * total):,} of "
            f"density {density:.3g}; lower the floor ({options.least_share:g}) or the sparsity"
        )
    if options.allocation == "global" and not options.limits:
        return
    counts = kept_counts(
        {name: weight.shape for name, weight in weights.items()},
        density,
        allocation=options.allocation,
        saliency=_magnitudes(weights),
        limits=_limits(weights, options),
    )
    empty = [name for name, count in counts.items() if count == 0]
    if empty and options.allocation != "global":
        raise BudgetError(
            f"{options.allocation} allocation at density {density:.3g} would leave no weight in: "
            f"{', '.join(empty)}; lower the sparsity, exclude these layers, or give them a lowest "
            f"density, as limits={{{empty[0]!r}: (0.1, 1.0)}}"
        )


def make_pools(
    saliency: Mapping[str, Ranked],
    live: Mapping[str, Tensor],
    density: float,
    options: PruneOptions,
    *,
    growing: Collection[str],
    pinned: Mapping[str, int] = MappingProxyType({}),
    floors: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Pool, ...]:
    """Divide K = round(density N) live weights over pools of layers (section 3, steps 1 and 2).

    Under `global` allocation the layers of `growing` (those with a regrowth score) form one pool;
    a layer outside it, or with a density limit, is a pool of its own with the share that the
    global rank gives it. Under `uniform` and `erk`, and where regrowth competes within each layer
    only, every layer is a pool of its own. Layers outside `growing` cannot get more weights than
    they have; `pinned` fixes the live weights of layers in advance, `floors` gives their fewest.
    """
    limits = _paced(_limits(saliency, options), live, density, 1 - options.sparsity)
    limits |= {n: (count / live[n].numel(),) * 2 for n, count in pinned.items()}
    for name, least in floors.items():
        low, high = limits.get(name, (0.0, 1.0))
        limits[name] = (min(high, max(low, least / live[name].numel())), high)
    shared: tuple[str, ...] = ()
    if options.allocation == "global" and options.regrow_within == "network":
        shared = tuple(name for name in saliency if name in growing and name not in limits)
    alive = {name: live_count(live[name]) for name in saliency}
    rises = round(density * sum(mask.numel() for mask in live.values())) > sum(alive.values())
    if options.allocation != "global" or rises:
        # Largest-remainder rounding may give a layer one weight more although the total falls.
        for name in saliency.keys() - set(growing):
            low, high = limits.get(name, (0.0, 1.0))
            ceiling = alive[name] / live[name].numel()
            limits[name] = (min(low, ceiling), min(high, ceiling))
    counts = kept_counts(
        {name: values.shape for name, values in saliency.items()},
        density,
        allocation=options.allocation,
        saliency=saliency,
        live=live,
        limits=limits,
    )
    groups = [shared] if shared else []
    groups += [(name,) for name in saliency if name not in shared]
    pools = []
    for group in groups:
        count = sum(counts[name] for name in group)
        before = sum(alive[name] for name in group)
        grow = _grown(count, before, options) if set(group) <= set(growing) else 0
        pools.append(Pool(group, count - grow, grow))
    return tuple(pools)


def _grown(count: int, alive: int, options: PruneOptions) -> int:
    """Return how many of `count` come by regrowth, where `alive` live before the event."""
    if options.fraction_of == "after":
        return floor_share(options.fraction, count)
    return max(0, count - (alive - floor_share(options.fraction, alive)))


def most_live(live: Mapping[str, Tensor], growing: Collection[str], options: PruneOptions) -> int:
    """Return an upper bound on the live weights after an event under a SynOps budget.

    Only regrowth revives weights: at most floor(r x live) in the layers of `growing`, and never
    more than they have dead. Where every layer regrows for itself under `global` allocation, no
    layer gets more than the rank gives it, so nothing is added.
    """
    alive = sum(live_count(mask) for mask in live.values())
    if options.allocation == "global" and options.regrow_within == "layer":
        return alive
    counts = [(live_count(live[name]), live[name].numel()) for name in growing]
    room = sum(size - count for count, size in counts)
    return alive + min(room, floor_share(options.fraction, sum(count for count, _ in counts)))


def _all_live(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: torch.ones((), dtype=torch.bool).expand(w.shape) for n, w in weights.items()}


def _magnitudes(weights: Mapping[str, Tensor]) -> dict[str, Ranked]:
    return {name: Magnitude(weight.detach()) for name, weight in weights.items()}


def _unranked(
    weights: Mapping[str, Tensor],
    live: Mapping[str, Tensor],
    density: float,
    options: PruneOptions,
    *,
    names: Collection[str],
) -> dict[str, int]:
    """Return the share that the global rank by magnitude gives to layers without a saliency."""
    if options.allocation != "global":
        return {}
    plain = replace(options, regrow_fraction=0.0)
    pools = make_pools(_magnitudes(weights), live, density, plain, growing=())
    return {pool.layers[0]: pool.keep for pool in pools if pool.layers[0] in names}


def layer_floors(live: Mapping[str, Tensor], share: float) -> dict[str, int]:
    """Return the fewest live weights of every layer: a share of all, of no more than live now."""
    part = Fraction(share).limit_denominator(10**9)
    return {n: min(math.ceil(part * m.numel()), live_count(m)) for n, m in live.items()}


def choose_weights(
    weights: Mapping[str, Tensor],
    live: Mapping[str, Tensor],
    regrowth: Mapping[str, Tensor],
    *,
    density: float,
    options: PruneOptions,
    saliency: Mapping[str, Ranked] | None = None,
    floors: Mapping[str, int] = MappingProxyType({}),
) -> Selection:
    """Choose the live weights after an event, exactly round(density N) (method, section 3, 1-5).

    `live` is bool and as `density` it counts all of `weights`; `regrowth` has the scores of the
    layers that take part in it. Without `saliency` the magnitudes decide. Under `global` allocation
    a layer without a score keeps the share that the magnitudes give it, and these decide within it.
    A layer that would fall below its floor, a count of live weights, is ranked for itself.
    """
    missing = {} if saliency is None else weights.keys() - saliency.keys()
    pinned = _unranked(weights, live, density, options, names=missing) if missing else {}
    ranked = _magnitudes(weights) | dict(saliency or {})
    held: dict[str, int] = {}
    while True:
        pools = make_pools(
            ranked,
            live,
            density,
            options,
            growing=regrowth.keys(),
            pinned=_room_for(held, pinned, round(density * sum(m.numel() for m in live.values()))),
            floors=held,
        )
        chosen = _choose_from(pools, weights, live, ranked=ranked, regrowth=regrowth)
        counts = {name: live_count(mask) for name, mask in chosen.live.items()}
        short = {n: least for n, least in floors.items() if counts[n] < least and n not in held}
        if not short:
            return chosen
        held |= short


def _room_for(floors: Mapping[str, int], pinned: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the counts of pinned layers, lowered where the floors of others need the room."""
    room = total - sum(floors.values())
    counts = {}
    for name, count in pinned.items():
        least = floors.get(name, 0)
        counts[name] = least + max(0, min(count - least, room))
        room -= counts[name] - least
    return counts


def _choose_from(
    pools: Iterable[Pool],
    weights: Mapping[str, Tensor],
    live: Mapping[str, Tensor],
    *,
    ranked: Mapping[str, Ranked],
    regrowth: Mapping[str, Tensor],
) -> Selection:
    kept: dict[str, Tensor] = {}
    regrown: dict[str, Tensor] = {}
    for pool in pools:
        chosen = keep_and_regrow(
            [ranked[name] for name in pool.layers],
            [live[name] for name in pool.layers],
            [regrowth[n] for n in pool.layers] if regrowth.keys() >= set(pool.layers) else None,
            keep=pool.keep,
            grow=pool.grow,
            tie=[Magnitude(weights[name].detach()) for name in pool.layers],
        )
        kept |= dict(zip(pool.layers, chosen.kept, strict=True))
        regrown |= dict(zip(pool.layers, chosen.regrown, strict=True))
    return Selection({n: kept[n] for n in weights}, {n: regrown[n] for n in weights})
