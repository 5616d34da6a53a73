"""Channel pruning as a granularity of the `Pruner`: one mask a group of tied channels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.errors import ConfigError
from spikeprune.pruning.budget import check_reference
from spikeprune.pruning.channels.channel_cost import cost_model
from spikeprune.pruning.channels.choose_channels import choose_channels
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.criteria.of_channels import (
    CHANNEL_REGROWTH,
    CHANNEL_SALIENCY,
    ChannelScoreInputs,
    channel_scores,
    check_channel_score,
    lacks,
)
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.layer_patterns import matching
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import Selection
from spikeprune.pruning.weights.latent_weights import NO_LATENT_WEIGHTS, LatentWeights
from spikeprune.science.masks import Mask
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.channels import Channels, checked, find_channels, left_whole
from spikeprune.wiring.cut_proof import exact_groups, owners_run, try_on_copy
from spikeprune.wiring.tied_channels import ChannelGroup
from spikeprune.wiring.wiring import Wiring


class ChannelMasks:
    """Channel pruning: `live` maps each group of tied channels to a mask [n]."""

    def __init__(
        self,
        model: nn.Module,
        wiring: Wiring,
        options: PruneOptions,
        *,
        example: Any,
        time_steps: int,
        dense_synops: Mapping[str, float] | None = None,
    ) -> None:
        self._model, self._wiring, self._options = model, wiring, options
        self._dense_synops = dense_synops
        found = find_channels(model, example, wiring, time_steps=time_steps)
        run = owners_run(model, example, time_steps=time_steps, layout=wiring.layout)
        sound, whole = exact_groups(found.groups, lambda some: try_on_copy(model, some, run))
        found = checked(Channels(sound, {**found.whole, **whole}))
        chosen = _chosen_groups(found, options)
        self.groups, unscored = _scored(chosen, options)
        self.notes = _notes({**found.whole, **unscored}, options.channels.budget)
        self.live = {g.name: torch.ones(g.channels, dtype=torch.bool) for g in self.groups}
        self.last_magnitude: dict[str, Tensor] = {}
        norms = [norm for group in self.groups for norm in group.norms]
        self._scales = [model.get_submodule(norm).get_parameter("weight") for norm in norms]
        self._weight_cost = cost_model(model, self.groups, wiring, budget="weights")
        self._macs_cost = cost_model(model, self.groups, wiring, budget="macs")

    def check(self) -> None:
        """Refuse floors that exceed the budget, and groups that cannot be scored."""
        options = self._options
        check_reference(self._dense_synops, self._wiring.layers, options)
        if options.regrow != "none":
            check_channel_score(self.groups, options.regrow, CHANNEL_REGROWTH[options.regrow])
        check_channel_score(self.groups, options.saliency, CHANNEL_SALIENCY[options.saliency])
        self._choose({g.name: torch.arange(float(g.channels)) for g in self.groups}, None, None)

    def density(self) -> float:
        """Live share of the weights of all convolution and linear layers."""
        return self._weight_cost(self.live) / self._weight_cost({})

    def live_macs(self) -> dict[str, float]:
        """MACs between live channels by layer."""
        by_layer = self._macs_cost.by_term(self.live)
        return dict(zip(self._wiring.layers, by_layer, strict=True))

    def parameter_mask(self) -> Mask:
        """Mask of the net with cut channels silenced: gamma, beta, bias and weight rows at 0."""
        return channel_masks(self._model, self.groups, self.live)

    def unchanged(self, selection: Selection) -> Mask:
        """All parameters of live channels: a regrown one keeps trained values and momentum."""
        return channel_masks(self._model, self.groups, selection.live)

    def train_latent(self, optimizer: torch.optim.Optimizer, steps: int) -> LatentWeights:
        """Return none: channels have no latent weights."""
        return NO_LATENT_WEIGHTS

    @torch.no_grad()
    def penalise(self) -> None:
        """Add l1 sign(gamma) to the gradient of every BatchNorm scale (section 4, step 1)."""
        for gamma in self._scales:
            if gamma.grad is not None:
                gamma.grad.add_(gamma.sign(), alpha=self._options.channels.l1)

    def event(self, planned: PlannedEvent, seen: Observations) -> Selection:
        """Choose the live channels once (method, section 4, Algorithm 2)."""
        options = planned.options
        inputs = ChannelScoreInputs(
            seen,
            model=self._model,
            reducer=options.channels.reducer,
            normalise=options.criticality.normalise,
        )
        drop, grow = options.saliency, options.regrow
        saliency = channel_scores(self.groups, drop, CHANNEL_SALIENCY[drop], inputs)
        regrowth = None
        if grow != "none":
            regrowth = channel_scores(self.groups, grow, CHANNEL_REGROWTH[grow], inputs)
        selection = self._choose(saliency, regrowth, seen)
        self.live = selection.live
        return selection

    def _choose(
        self,
        saliency: Mapping[str, Tensor],
        regrowth: Mapping[str, Tensor] | None,
        seen: Observations | None,
    ) -> Selection:
        costs = [
            cost_model(
                self._model,
                self.groups,
                self._wiring,
                budget=unit,
                operands=seen.operands if seen else {},
                multiplying=seen.multiplying if seen else (),
                dense_synops=self._dense_synops,
            )
            for unit in self._options.units
        ]
        return choose_channels(saliency, regrowth, costs, self._options)


def _scored(
    groups: tuple[ChannelGroup, ...], options: PruneOptions
) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Return the groups that can be scored, and by layer why others are left whole.

    All are returned if none can be scored; `ChannelMasks.check` then says what is missing.
    """
    criteria = {options.saliency: CHANNEL_SALIENCY[options.saliency]}
    if options.regrow != "none":
        criteria[options.regrow] = CHANNEL_REGROWTH[options.regrow]
    whole: dict[str, str] = {}
    for name, criterion in criteria.items():
        part = "BatchNorm" if criterion.on == "norm" else "neuron"
        for group in groups:
            if lacks(group, criterion):
                whole |= dict.fromkeys(group.producers, f"without the {part} that {name} needs")
    scored = tuple(group for group in groups if group.name not in whole)
    return (scored, whole) if scored else (groups, {})


def _notes(whole: Mapping[str, str], unit: str) -> tuple[str, ...]:
    """Return sentences on what is left whole, and what the budget is a share of."""
    if not whole:
        return ()
    of = f"all {unit} of the net, layers that are left whole included"
    if unit == "channels":
        of = "the channels of the layers that are pruned"
    return (*left_whole(whole), f"the sparsity is a share of {of}")


def _chosen_groups(found: Channels, options: PruneOptions) -> tuple[ChannelGroup, ...]:
    """Return the groups whose layers are all to be pruned; an excluded layer spares its group.

    Patterns that include only a part of a group are refused: it would be spared in silence.
    """
    groups = found.groups
    producers = [*(name for group in groups for name in group.producers), *found.whole]
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
            "no channel is left to prune: the layers that are not excluded are tied to excluded "
            "ones, or are left whole; exclude fewer layers"
        )
    return whole
