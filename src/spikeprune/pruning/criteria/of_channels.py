"""Criteria of channels by name: what to drop and bring back. One is a function and a row."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeprune.errors import ModelError
from spikeprune.pruning.criteria.inputs import Need, Observations
from spikeprune.science import saliency
from spikeprune.science.criticality import rank_in_layer
from spikeprune.wiring.tied_channels import ChannelGroup, Member


@dataclass(frozen=True)
class ChannelScoreInputs:
    """The inputs of a criterion of channels.

    Attributes:
        seen: what was observed for this event.
        model: the net.
        reducer: how tied channels and several modules share one score: `mean` or `max`.
        normalise: `layer` ranks criticality within the group.
    """

    seen: Observations
    model: nn.Module
    reducer: str
    normalise: str = "none"

    def reduced(self, members: tuple[Member, ...], values: Mapping[str, Tensor]) -> Tensor:
        """Reduce the values of tied modules' channels, by module, to one value a channel, [n].

        Behind a flatten a channel owns several entries of a module; they are reduced first.
        """

        def over(rows: Tensor, dim: int) -> Tensor:
            return rows.amax(dim) if self.reducer == "max" else rows.mean(dim)

        return over(torch.stack([over(values[m.module].cpu()[m.index], 1) for m in members]), 0)


@dataclass(frozen=True)
class ChannelCriterion:
    """A score of a group's channels, `[n]`, to drop by (saliency) or bring back by (regrowth)."""

    score: Callable[[ChannelGroup, ChannelScoreInputs], Tensor]
    needs: AbstractSet[Need] = frozenset()
    on: str = ""  # role of the modules that it is read from: norm, state, or none


def _scale(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    gammas = {n: inputs.model.get_submodule(n).get_parameter("weight") for n in group.norms}
    scales = {name: saliency.batchnorm_scale(gamma) for name, gamma in gammas.items()}
    return inputs.reduced(group.of("norm"), scales)


def _scale_gradient(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    gradients = {name: inputs.seen.gradients[f"{name}.weight"].abs() for name in group.norms}
    return inputs.reduced(group.of("norm"), gradients)


def _random(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    return saliency.random(torch.empty(group.channels), inputs.seen.generator)


def _criticality(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    scores = {name: stats.score for name, stats in inputs.seen.stats.items()}
    reduced = inputs.reduced(group.of("state", "site"), scores)
    return rank_in_layer(reduced) if inputs.normalise == "layer" else reduced


def _rate(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    rates = {name: stats.rate for name, stats in inputs.seen.stats.items()}
    return inputs.reduced(group.of("state", "site"), rates)


def _potential(group: ChannelGroup, inputs: ChannelScoreInputs) -> Tensor:
    sizes = {name: stats.potential.size for name, stats in inputs.seen.stats.items()}
    return inputs.reduced(group.of("state", "site"), sizes)


_ON = {"norm": ("norm",), "state": ("state", "site")}  # roles of the members to read from

CHANNEL_SALIENCY: dict[str, ChannelCriterion] = {
    "magnitude": ChannelCriterion(_scale, on="norm"),
    "batchnorm-scale": ChannelCriterion(_scale, on="norm"),
    "mean-potential": ChannelCriterion(_potential, {"potentials", "moments"}, on="state"),
    "firing-rate": ChannelCriterion(_rate, {"potentials"}, on="state"),
    "random": ChannelCriterion(_random),
}
"""What is dropped first, the lowest; `magnitude` is `batchnorm-scale` by its common name."""

CHANNEL_REGROWTH: dict[str, ChannelCriterion] = {
    "criticality": ChannelCriterion(_criticality, {"potentials"}, on="state"),
    "scale-gradient": ChannelCriterion(_scale_gradient, {"gradient"}, on="norm"),
    "random": ChannelCriterion(_random),
}
"""What is brought back first, the highest; `none` is the absence of one."""


def channel_scores(
    groups: tuple[ChannelGroup, ...],
    name: str,
    criterion: ChannelCriterion,
    inputs: ChannelScoreInputs,
) -> dict[str, Tensor]:
    """Return the score [n] of every group."""
    check_channel_score(groups, name, criterion)
    return {group.name: criterion.score(group, inputs) for group in groups}


def check_channel_score(
    groups: tuple[ChannelGroup, ...], name: str, criterion: ChannelCriterion
) -> None:
    """Refuse groups without the module that a score is read from."""
    lacking = ", ".join(repr(g.name) for g in groups if lacks(g, criterion))
    if lacking and criterion.on == "norm":
        raise ModelError(
            f"channels are scored by their BatchNorm ({name}), but {lacking} has no BatchNorm; add "
            "one, or exclude the layer, or score by neurons (such as saliency='firing-rate')"
        )
    if lacking:
        raise ModelError(
            f"{name} is scored on the neurons that a channel drives, but these drive none: "
            f"{lacking}; exclude them, or choose another score"
        )


def lacks(group: ChannelGroup, criterion: ChannelCriterion) -> bool:
    """Return whether a group is without the module that a score is read from."""
    return bool(criterion.on) and not group.of(*_ON[criterion.on])
