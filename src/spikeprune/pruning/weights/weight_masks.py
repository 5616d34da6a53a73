"""Weight pruning as a granularity of the `Pruner`: one mask a layer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from spikeprune.execution.batchnorm import norm_gain
from spikeprune.pruning.budget import check_reference
from spikeprune.pruning.criteria.inputs import Observations, ScoreInputs, weight_scores
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.options import PruneOptions, matching, needs_of
from spikeprune.pruning.selection import Selection
from spikeprune.pruning.weights.choose_weights import check_target, choose_weights, most_live
from spikeprune.pruning.weights.synops_budget import SynopsCost, fit_budget
from spikeprune.science.cost import weight_costs
from spikeprune.science.masks import Mask
from spikeprune.science.saliency import marginal_value
from spikeprune.wiring.wiring import Wiring


class WeightMasks:
    """Weight pruning: `live` maps each prunable layer to a mask shaped like its weight."""

    groups = None
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        model: nn.Module,
        wiring: Wiring,
        options: PruneOptions,
        *,
        example: Tensor,
        time_steps: int,
        dense_synops: Mapping[str, float] | None = None,
    ) -> None:
        names = matching(wiring.prunable, options.include, options.exclude)
        self._weights = {n: model.get_submodule(n).get_parameter("weight") for n in names}
        self._model, self._wiring = model, wiring
        self._options, self._time_steps = options, time_steps
        self._dense_synops = dense_synops
        self.live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in self._weights.items()}
        self._needs = needs_of(options, start=True)
        self.last_magnitude: dict[str, Tensor] = {}
        if "last-magnitude" in self._needs:
            self.last_magnitude = {n: w.abs() for n, w in self._detached().items()}
        self._gains()  # refuses norms that have none before any training

    def check(self) -> None:
        """Refuse a final density that the limits or the allocation do not allow."""
        check_reference(self._dense_synops, self._weights, budget=self._options.budget)
        if self._options.budget == "weights":
            check_target(self._detached(), _as_one_ranking(self._options))

    def _detached(self) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in self._weights.items()}

    def density(self) -> float:
        """Live share of the prunable weights."""
        return Mask(self.live).density

    def live_macs(self) -> dict[str, float]:
        """MACs of the live weights by layer, unpruned layers included."""
        shares = {n: int(m.count_nonzero()) / m.numel() for n, m in self.live.items()}
        return {n: row.macs * shares.get(n, 1.0) for n, row in self._wiring.layers.items()}

    def parameter_mask(self) -> Mask:
        """The masks, by parameter name."""
        return _by_parameter(self.live)

    def unchanged(self, selection: Selection) -> Mask:
        """The weights that were live before and stay; a regrown one starts anew."""
        return _by_parameter(selection.kept)

    def penalise(self) -> None:
        """Do nothing: weights carry no penalty."""

    def _gains(self) -> dict[str, Tensor]:
        """Return the gain of the BatchNorm behind each layer, if a criterion needs it."""
        if "moments" not in self._needs:
            return {}
        return {
            n: norm_gain(self._model, self._wiring.layers[n].norms, len(w)).to(w.device)
            for n, w in self._weights.items()
        }

    def _inputs(self, seen: Observations, weights: Mapping[str, Tensor]) -> ScoreInputs:
        if "last-magnitude" in self._needs:
            self.last_magnitude = {
                n: torch.where(self.live[n], w.abs(), self.last_magnitude[n])
                for n, w in weights.items()
            }
        return ScoreInputs(
            seen,
            wiring=self._wiring,
            criticality=self._options.criticality,
            time_steps=self._time_steps,
            live=self.live,
            last_magnitude=self.last_magnitude,
            gains=self._gains(),
        )

    def _costs(self, seen: Observations) -> dict[str, Tensor]:
        """Return the SynOps of every weight, broadcastable to it, by layer."""
        return {
            n: weight_costs(
                w,
                seen.operands[n].to(w.device),
                transposed=self._wiring.layers[n].kind == "transposed",
            )
            for n, w in self._detached().items()
        }

    def event(self, planned: PlannedEvent, seen: Observations) -> Selection:
        """Run Algorithm 1 once (method, section 3)."""
        weights, options = self._detached(), _as_one_ranking(planned.options)
        inputs = self._inputs(seen, weights)
        costs = self._costs(seen) if options.budget == "synops" else {}
        per_cost = bool(costs) and planned.options.allocation == "budget"
        saliency = None  # the magnitudes, without a copy
        if options.saliency != "magnitude" or per_cost:
            scores = weight_scores(SALIENCY[options.saliency], weights, inputs)
            saliency = {n: score.expand(weights[n].shape) for n, score in scores.items()}
        regrowth: dict[str, Tensor] = {}
        if options.regrow != "none":
            criterion, everywhere = REGROWTH[options.regrow], options.regrow_layers == "all"
            regrowth = weight_scores(criterion, weights, inputs, everywhere=everywhere)
        if per_cost:
            least = 0.5 / seen.samples  # a weight without operands in n samples may have one in 2 n
            worth = partial(marginal_value, costs=costs, least=least)
            saliency, regrowth = worth(saliency or {}), worth(regrowth)

        def choose(density: float) -> Selection:
            return choose_weights(
                weights, self.live, regrowth, density=density, options=options, saliency=saliency
            )

        if options.budget == "synops":
            selection = fit_budget(
                choose,
                SynopsCost(costs),
                self.live,
                most=most_live(self.live, regrowth.keys(), options),
                share=planned.density,
                dense_synops=self._dense_synops,
            )
        else:
            selection = choose(planned.density)
        self.live = selection.live
        return selection


def _as_one_ranking(options: PruneOptions) -> PruneOptions:
    """Return the options of a choice whose allocation follows from one ranking over all layers."""
    return replace(options, allocation="global") if options.allocation == "budget" else options


def _by_parameter(masks: Mapping[str, Tensor]) -> Mask:
    return Mask({f"{name}.weight": mask for name, mask in masks.items()})
