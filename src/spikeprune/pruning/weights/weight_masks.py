"""Weight pruning as a granularity of the `Pruner`: one mask a layer."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikeprune.execution.batchnorm import norm_gain
from spikeprune.pruning.budget import check_reference
from spikeprune.pruning.criteria.inputs import Observations, ScoreInputs, weight_scores
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.layer_patterns import matching
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import Selection
from spikeprune.pruning.two_budgets import spend_both
from spikeprune.pruning.weights.choose_weights import (
    check_target,
    choose_weights,
    layer_floors,
    most_live,
)
from spikeprune.pruning.weights.fit_budgets import Budget, budget_of_share, fit_budgets, mixed
from spikeprune.pruning.weights.latent_weights import (
    NO_LATENT_WEIGHTS,
    LatentWeights,
    latent_weights,
)
from spikeprune.science.brain_surgeon import compensated, damped
from spikeprune.science.cost import operation_nj, weight_costs
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
        self.latent = NO_LATENT_WEIGHTS
        self._gains()  # refuses norms that have none before any training

    def check(self) -> None:
        """Refuse a final density that the limits or the allocation do not allow."""
        check_reference(self._dense_synops, self._weights, self._options)
        if not _has_costs(self._options):
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

    def train_latent(self, optimizer: torch.optim.Optimizer, steps: int) -> LatentWeights:
        """Train latent weights in place of the net's for `steps`, if the saliency needs them."""
        self.latent = latent_weights(
            self._options, optimizer, self._weights, wiring=self._wiring, steps=steps
        )
        return self.latent

    def penalise(self) -> None:
        """Do nothing: weights carry no penalty."""

    def _gains(self) -> dict[str, Tensor]:
        """Return the gain of the BatchNorm behind each layer, if a criterion needs it."""
        if not {"moments", "gains"} & self._needs:
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
            latent=self.latent.scores,
        )

    def _budgets(self, planned: PlannedEvent, seen: Observations) -> tuple[Budget, ...]:
        """Return the budgets of an event, each the share of the dense net's cost."""
        return tuple(
            self._budget(unit, share, seen)
            for unit, share in {planned.options.budget: planned.density, **planned.within}.items()
        )

    def _budget(self, unit: str, share: float, seen: Observations) -> Budget:
        weights = self._detached()
        if unit == "weights":
            ones = {n: w.new_ones((1,) * w.ndim, dtype=torch.float64) for n, w in weights.items()}
            return budget_of_share(unit, ones, self.live, share=share)
        nj = dict.fromkeys(weights, 1.0)
        if unit == "energy":
            nj = {n: operation_nj(multiplies=n in seen.multiplying) for n in weights}
        dense = self._dense_synops
        return budget_of_share(
            unit,
            {n: nj[n] * cost for n, cost in self._synops(seen).items()},
            self.live,
            share=share,
            dense=None if dense is None else {n: nj[n] * dense[n] for n in self.live},
            # A weight without operands in n samples may have one in 2 n.
            least=0.5 / seen.samples * min(nj.values()) if _per_cost(self._options) else 0.0,
        )

    def _synops(self, seen: Observations) -> dict[str, Tensor]:
        """Return the SynOps of every weight, broadcastable to it, by layer."""
        return {
            n: weight_costs(
                w,
                seen.operands[n].to(w.device),
                transposed=self._wiring.layers[n].kind == "transposed",
            )
            for n, w in self._detached().items()
        }

    def _scores(
        self, options: PruneOptions, seen: Observations, weights: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor] | None, dict[str, Tensor]]:
        """Return saliency, None for the magnitudes without a copy, and regrowth scores."""
        inputs = self._inputs(seen, weights)
        saliency = None
        if options.saliency != "magnitude" or _per_cost(options):
            scores = weight_scores(SALIENCY[options.saliency], weights, inputs)
            saliency = {n: score.expand(weights[n].shape) for n, score in scores.items()}
        if options.regrow == "none":
            return saliency, {}
        criterion, everywhere = REGROWTH[options.regrow], options.regrow_layers == "all"
        return saliency, weight_scores(criterion, weights, inputs, everywhere=everywhere)

    def event(self, planned: PlannedEvent, seen: Observations) -> Selection:
        """Run Algorithm 1 once (method, section 3), under one budget or two."""
        options, latent, live = planned.options, self.latent, self.live
        weights, one_ranking = self._detached(), _as_one_ranking(options)
        if latent.active:  # a dead one is trained, too, and competes as if it were live
            weights = dict(latent.trained)
            live = {n: torch.ones_like(mask) for n, mask in live.items()}
            if seen.operands and options.gate_cost == "operands":
                latent.charge(self._synops(seen))
        saliency, regrowth = self._scores(options, seen, weights)
        size = sum(mask.numel() for mask in live.values())
        share = min(planned.density, *planned.within.values(), 1.0)
        floors = layer_floors(live, share * options.least_share)

        def choose(
            density: float, drop: Mapping[str, Tensor] | None, grow: Mapping[str, Tensor]
        ) -> Selection:
            return choose_weights(
                weights,
                live,
                grow,
                density=density,
                options=one_ranking,
                saliency=drop,
                floors=floors,
            )

        if not _has_costs(options):
            selection = choose(planned.density, saliency, regrowth)
        else:
            least = max(1, sum(floors.values()))
            most = most_live(live, regrowth.keys(), one_ranking)
            budgets = self._budgets(planned, seen)

            def fitted(mix: float) -> Selection:
                drop, grow = saliency, regrowth
                if saliency is not None and _per_cost(options):
                    costs = mixed(budgets, mix)
                    drop, grow = marginal_value(saliency, costs), marginal_value(regrowth, costs)
                return fit_budgets(
                    lambda count: choose(count / size, drop, grow), budgets, least=least, most=most
                )

            both = len(budgets) == 2 and _per_cost(options)
            selection = spend_both(fitted, exact=planned.is_final) if both else fitted(0.0)
        if latent.active:
            selection = _came_back(selection, self.live)
        self.live = selection.live
        if SALIENCY[options.saliency].compensates:
            selection = replace(selection, values=_compensated(weights, selection, seen))
        return selection


def _came_back(selection: Selection, before: Mapping[str, Tensor]) -> Selection:
    """Return a choice among all weights with those that were dead before as regrown."""
    kept = {n: chosen & before[n] for n, chosen in selection.kept.items()}
    regrown = {n: chosen & ~before[n] for n, chosen in selection.kept.items()}
    return replace(selection, kept=kept, regrown=regrown)


def _per_cost(options: PruneOptions) -> bool:
    """Return whether scores are divided by costs, which differ from weight to weight."""
    return options.allocation == "budget" and _has_costs(options)


def _has_costs(options: PruneOptions) -> bool:
    """Return whether weights cost more than one each in some budget."""
    return options.budget != "weights" or bool(options.within)


def _compensated(
    weights: Mapping[str, Tensor], selection: Selection, seen: Observations
) -> dict[str, Tensor]:
    """Return the weights of every layer after those that stay made up for those that go."""
    return {
        n: compensated(w, selection.kept[n], damped(seen.products[n].to(w.device)))
        for n, w in weights.items()
    }


def _as_one_ranking(options: PruneOptions) -> PruneOptions:
    """Return the options of a choice whose allocation follows from one ranking over all layers."""
    return replace(options, allocation="global") if options.allocation == "budget" else options


def _by_parameter(masks: Mapping[str, Tensor]) -> Mask:
    return Mask({f"{name}.weight": mask for name, mask in masks.items()})
