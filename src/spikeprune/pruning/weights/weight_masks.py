"""Weight pruning as a granularity of the `Pruner`: one mask a layer."""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.execution.batchnorm import norm_gain
from spikeprune.pruning.budget import check_reference
from spikeprune.pruning.criteria.inputs import Observations, ScoreInputs
from spikeprune.pruning.criteria.of_weights import growth_scores, weight_saliency
from spikeprune.pruning.events.record import Outcome
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.options import PruneOptions, matching, needs
from spikeprune.pruning.weights.choose_weights import check_target, most_live, prune_weights
from spikeprune.pruning.weights.synops_budget import SynopsCost, fit_budget
from spikeprune.science.masks import Mask
from spikeprune.wiring.wiring import Wiring


def parameter_of(model: nn.Module, layer: str) -> nn.Parameter:
    """Return the weight of the layer called `layer`."""
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, nn.Parameter)
    return weight


class WeightMasks:
    """Weight pruning: `live` maps each prunable layer to a mask shaped like its weight."""

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        wiring: Wiring,
        options: PruneOptions,
        time_steps: int,
        dense_synops: Mapping[str, float] | None = None,
    ) -> None:
        names = matching(wiring.layers, options.include, options.exclude)
        self._weights = {name: parameter_of(model, name) for name in names}
        self._model, self._wiring = model, wiring
        self._options, self._time_steps = options, time_steps
        self._dense_synops = dense_synops
        self.live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in self._weights.items()}
        self._needs = needs(options, start=True)
        self.memory: dict[str, Tensor] = {}
        if self._needs.memory:
            self.memory = {n: w.abs() for n, w in self._detached().items()}
        if self._needs.moments:
            self._gains()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the prunable layers."""
        return tuple(self._weights)

    def check(self) -> None:
        """Refuse a final density that the limits or the allocation do not allow."""
        check_reference(self._dense_synops, self._weights, budget=self._options.budget)
        if self._options.budget == "weights":
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

    def _gains(self) -> dict[str, Tensor]:
        return {
            n: norm_gain(self._model, self._wiring.layers[n].norms, len(w)).to(w.device)
            for n, w in self._weights.items()
        }

    def event(self, due: PlannedEvent, gathered: Observations) -> Outcome:
        """Run Algorithm 1 once (method, section 3)."""
        weights, options = self._detached(), due.options
        if self._needs.memory:
            self.memory = {
                n: torch.where(self.live[n], w.abs(), self.memory[n]) for n, w in weights.items()
            }
        given = ScoreInputs(
            stats=gathered.stats,
            gradients={n.removesuffix(".weight"): g for n, g in gathered.gradients.items()},
            wiring=self._wiring,
            criticality=options.criticality,
            time_steps=self._time_steps,
            generator=gathered.generator,
            live=self.live,
            memory=self.memory,
            gains=self._gains() if self._needs.moments else {},
            passes=gathered.passes,
        )
        ranking = None  # the magnitudes, which nobody need copy
        if options.saliency != "magnitude":
            ranking = weight_saliency(weights, options.saliency, given)
        everywhere = options.regrow_layers == "all"
        growth = growth_scores(weights, options.regrow, given, everywhere=everywhere)
        choose = functools.partial(
            prune_weights, weights, self.live, growth, options=options, ranking=ranking
        )
        details: dict[str, Any] = {}
        density = due.density
        if options.budget == "synops":
            density, details = fit_budget(
                *(choose, SynopsCost(gathered.reads), self.live),
                most=most_live(self.live, growth.keys(), options),
                share=due.density,
                dense_synops=self._dense_synops,
            )
        chosen = choose(density=density)
        self.live = chosen.live
        return Outcome(chosen.kept, chosen.regrown, details)
