"""The two granularities of one `Pruner`: weights (one mask a layer) and channels (one a group)."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from spikeprune.engine.channel_pruning import (
    cost_model,
    group_scores,
    prune_channels,
    rank_channels,
)
from spikeprune.engine.channels import ChannelGroup, channel_groups
from spikeprune.engine.event import Outcome
from spikeprune.engine.growth import Evidence, growth_scores
from spikeprune.engine.observe import ChannelStats
from spikeprune.engine.options import PruneOptions, matching
from spikeprune.engine.surgery import channel_masks
from spikeprune.engine.weight_pruning import check_target, prune_weights
from spikeprune.engine.wiring import Wiring
from spikeprune.errors import ConfigError, ModelError
from spikeprune.science.masks import Mask

__all__ = ["Channels", "Granularity", "Weights", "parameter_of"]


class Granularity(Protocol):
    """What the `Pruner` asks of a granularity."""

    live: dict[str, Tensor]

    def check(self) -> None:
        """Refuse, before any training, what the last event would refuse."""

    def density(self) -> float:
        """Live share of the prunable weights of the original net."""

    def macs_density(self) -> float:
        """Live share of the multiply-accumulates."""

    def parameter_mask(self, live: Mapping[str, Tensor] | None = None) -> Mask:
        """Mask over the model's parameters, by parameter name, for `live` (None: what lives)."""

    def penalise(self) -> None:
        """Add a penalty's subgradient to the gradients."""

    def event(
        self,
        density: float,
        stats: Mapping[str, ChannelStats] | None,
        gradients: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Outcome:
        """Choose what lives and update `live`."""


def parameter_of(model: nn.Module, layer: str) -> nn.Parameter:
    """Return the weight of the layer called `layer`."""
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _chosen_groups(
    groups: tuple[ChannelGroup, ...], options: PruneOptions
) -> tuple[ChannelGroup, ...]:
    """Return the groups all of whose layers are to be pruned.

    One excluded layer spares all that are tied to it.

    Raises:
        ConfigError: patterns that match nothing or leave nothing, or that include a part of the
            layers of a group, which would be spared in silence.
    """
    producers = [name for group in groups for name in group.producers]
    included = matching(producers, options.include, ())
    for group in groups:
        tied = [name for name in group.producers if name not in included]
        if tied and len(tied) < len(group.producers):
            raise ConfigError(
                f"the channels of {', '.join(group.producers)} are tied by additions and live and "
                f"die together; include these too, or none of them: {', '.join(tied)}"
            )
    chosen = matching(producers, options.include, options.exclude)
    whole = tuple(group for group in groups if set(group.producers) <= set(chosen))
    if not whole:
        raise ConfigError(
            "the excluded layers are tied to all others by additions, so no channel is left to "
            "prune; exclude fewer layers"
        )
    return whole


class Weights:
    """Weight pruning: `live` maps each prunable layer to a mask shaped like its weight."""

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        *,
        wiring: Wiring,
        options: PruneOptions,
        time_steps: int,
    ) -> None:
        names = matching(wiring.layers, options.include, options.exclude)
        self._weights = {name: parameter_of(model, name) for name in names}
        self._wiring, self._options, self._time_steps = wiring, options, time_steps
        self.live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in self._weights.items()}

    def check(self) -> None:
        """Refuse a final density that the limits or the allocation do not allow."""
        check_target(self._detached(), self._options)

    def _detached(self) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in self._weights.items()}

    def density(self) -> float:
        """Live share of the prunable weights."""
        return Mask(self.live).density

    def macs_density(self) -> float:
        """Live share of the dense MACs of all layers, those that are not pruned included."""
        layers = self._wiring.layers.values()
        shares = {n: int(m.count_nonzero()) / m.numel() for n, m in self.live.items()}
        live = sum(layer.macs * shares.get(layer.name, 1.0) for layer in layers)
        return live / sum(layer.macs for layer in layers)

    def parameter_mask(self, live: Mapping[str, Tensor] | None = None) -> Mask:
        """The masks, by parameter name."""
        live = self.live if live is None else live
        return Mask({f"{name}.weight": mask for name, mask in live.items()})

    def penalise(self) -> None:
        """Weights carry no penalty."""

    def event(
        self,
        density: float,
        stats: Mapping[str, ChannelStats] | None,
        gradients: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Outcome:
        """Run Algorithm 1 once (method, section 3)."""
        weights = self._detached()
        given = Evidence(
            stats=stats or {},
            gradients={n.removesuffix(".weight"): g for n, g in gradients.items()},
            wiring=self._wiring,
            criticality=self._options.criticality,
            time_steps=self._time_steps,
            generator=generator,
        )
        growth = growth_scores(weights, self._options.regrow, given)
        chosen = prune_weights(
            weights,
            self.live,
            growth,
            density=density,
            options=self._options,
            generator=generator,
        )
        self.live = chosen.live
        return Outcome(chosen.kept, chosen.regrown)


class Channels:
    """Channel pruning: `live` maps each group of tied channels to a mask [n]."""

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        *,
        wiring: Wiring,
        options: PruneOptions,
        time_steps: int,
    ) -> None:
        self._model, self._wiring, self._options = model, wiring, options
        self.groups = _chosen_groups(channel_groups(model, example, wiring), options)
        self.live = {g.name: torch.ones(g.channels, dtype=torch.bool) for g in self.groups}
        self._scales = [model.get_submodule(norm).weight for g in self.groups for norm in g.norms]
        self._weight_cost = cost_model(model, self.groups, wiring, budget="weights", rates={})
        self._macs_cost = cost_model(model, self.groups, wiring, budget="macs", rates={})

    def check(self) -> None:
        """Refuse floors that exceed the budget, and groups that cannot be ranked or scored."""
        self._choose(None, self._any_rates(), torch.Generator())
        silent = [group.name for group in self.groups if not group.neurons]
        if silent and self._options.regrow == "criticality":
            raise ModelError(
                "criticality is scored on the neurons that a channel drives, but these drive "
                f"none: {', '.join(silent)}; exclude them, or choose another regrowth"
            )

    def _any_rates(self) -> dict[str, Tensor]:
        """Stand in for firing rates that nobody measured: every neuron fires in every step."""
        return {name: torch.ones(n) for name, n in self._wiring.neurons.items()}

    def density(self) -> float:
        """Live share of the weights of all convolution and linear layers."""
        return self._weight_cost(self.live) / self._weight_cost({})

    def macs_density(self) -> float:
        """Live share of the dense MACs of all layers."""
        return self._macs_cost(self.live) / self._macs_cost({})

    def parameter_mask(self, live: Mapping[str, Tensor] | None = None) -> Mask:
        """Mask of the net with cut channels silenced: gamma, beta, bias and weight rows at 0."""
        return channel_masks(self._model, self.groups, self.live if live is None else live)

    @torch.no_grad()
    def penalise(self) -> None:
        """Add l1 sign(gamma) to the gradient of every BatchNorm scale (section 4, step 1)."""
        for gamma in self._scales:
            assert isinstance(gamma, nn.Parameter)
            if gamma.grad is not None:
                gamma.grad.add_(gamma.sign(), alpha=self._options.channels.l1)

    def _choose(
        self,
        growth: Mapping[str, Tensor] | None,
        rates: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Outcome:
        options = self._options
        kind = "random" if options.saliency == "random" else "batchnorm-scale"
        ranking = rank_channels(
            self._model, self.groups, kind, reducer=options.channels.reducer, generator=generator
        )
        cost = cost_model(
            self._model, self.groups, self._wiring, budget=options.channels.budget, rates=rates
        )
        chosen = prune_channels(ranking, growth, cost, options)
        details = {
            "budget": options.channels.budget,
            "cost": chosen.cost,
            "allowed": chosen.budget,
            "total": chosen.total,
            "forced": chosen.forced,
        }
        return Outcome(chosen.kept, chosen.regrown, details)

    def event(
        self,
        density: float,
        stats: Mapping[str, ChannelStats] | None,
        gradients: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Outcome:
        """Run Algorithm 2's choice once (method, section 4); its budget is the sparsity's."""
        growth: dict[str, Tensor] | None = None
        if self._options.regrow == "criticality":
            assert stats is not None
            growth = group_scores(
                self.groups,
                stats,
                reducer=self._options.channels.reducer,
                normalise=self._options.criticality.normalise,
            )
        elif self._options.regrow == "random":
            growth = {g.name: torch.rand(g.channels, generator=generator) for g in self.groups}
        rates = self._any_rates() if stats is None else {n: s.rate for n, s in stats.items()}
        outcome = self._choose(growth, rates, generator)
        self.live = {n: kept | outcome.regrown[n] for n, kept in outcome.kept.items()}
        return outcome
