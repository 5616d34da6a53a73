"""What channels to drop and to bring back: scores by name. Adding one is a function and a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from spikeprune.errors import ModelError
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.criteria.inputs import NOTHING, Needs
from spikeprune.science import saliency
from spikeprune.science.criticality import rank_in_layer
from spikeprune.wiring.tied_channels import ChannelGroup, Member


@dataclass(frozen=True)
class ChannelScoreInputs:
    """What a score of channels may look at.

    Attributes:
        model: the net.
        reducer: how tied channels and several modules share one score: `mean` or `max`.
        generator: for what is drawn.
        stats: what was observed of each neuron; empty unless a score needs `potentials`.
        gradients: of the last batch by parameter name; empty unless a score needs them.
        normalise: `layer` ranks criticality within the group.
    """

    model: nn.Module
    reducer: str
    generator: torch.Generator
    stats: Mapping[str, ChannelStats] = field(default_factory=dict)
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    normalise: str = "none"

    def reduced(self, members: tuple[Member, ...], values: Mapping[str, Tensor]) -> Tensor:
        """Reduce what tied modules say of their channels to [n].

        Behind a flatten a channel owns several entries of a module; they are reduced first.
        """

        def over(rows: Tensor, dim: int) -> Tensor:
            return rows.amax(dim) if self.reducer == "max" else rows.mean(dim)

        return over(torch.stack([over(values[m.module].cpu()[m.index], 1) for m in members]), 0)


@dataclass(frozen=True)
class ChannelCriterion:
    """A score of a group's channels, `[n]`, and what it needs.

    `on` is the role of the modules that it is read from: `norm`, `state`, or none.
    """

    score: Callable[[ChannelGroup, ChannelScoreInputs], Tensor]
    needs: Needs = NOTHING
    on: str = ""


def _scale(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    scales = {n: saliency.batchnorm_scale(_gamma(given.model, n)) for n in group.norms}
    return given.reduced(group.of("norm"), scales)


def _gamma(model: nn.Module, norm: str) -> Tensor:
    gamma = model.get_submodule(norm).weight
    assert isinstance(gamma, Tensor)
    return gamma


def _scale_gradient(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    gradients = {n: given.gradients[f"{n}.weight"].abs() for n in group.norms}
    return given.reduced(group.of("norm"), gradients)


def _random(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    return saliency.random(torch.empty(group.channels), given.generator)


def _criticality(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    scores = {name: found.score for name, found in given.stats.items()}
    reduced = given.reduced(group.of("state"), scores)
    return rank_in_layer(reduced) if given.normalise == "layer" else reduced


def _rate(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    rates = {name: found.rate for name, found in given.stats.items()}
    return given.reduced(group.of("state"), rates)


def _potential(group: ChannelGroup, given: ChannelScoreInputs) -> Tensor:
    sizes = {name: found.potential.size for name, found in given.stats.items()}
    return given.reduced(group.of("state"), sizes)


_BY_SCALE = ChannelCriterion(_scale, on="norm")
_BY_CHANCE = ChannelCriterion(_random)

CHANNEL_SALIENCY: Mapping[str, ChannelCriterion] = {
    "magnitude": _BY_SCALE,
    "batchnorm-scale": _BY_SCALE,
    "mean-potential": ChannelCriterion(
        _potential, Needs(potentials=True, moments=True), on="state"
    ),
    "firing-rate": ChannelCriterion(_rate, Needs(potentials=True), on="state"),
    "random": _BY_CHANCE,
}
"""What channels are dropped by, the lowest first."""

CHANNEL_REGROWTH: Mapping[str, ChannelCriterion] = {
    "criticality": ChannelCriterion(_criticality, Needs(potentials=True), on="state"),
    "scale-gradient": ChannelCriterion(_scale_gradient, Needs(gradient=True), on="norm"),
    "random": _BY_CHANCE,
}
"""What channels are brought back by, the highest first; `none` is the absence of one."""


def channel_scores(
    groups: tuple[ChannelGroup, ...], kind: str, row: ChannelCriterion, given: ChannelScoreInputs
) -> dict[str, Tensor]:
    """Return the score [n] of every group.

    Raises:
        ModelError: a group without the module that the score is read from.
    """
    check_channel_score(groups, kind, row)
    return {group.name: row.score(group, given) for group in groups}


def check_channel_score(groups: tuple[ChannelGroup, ...], kind: str, row: ChannelCriterion) -> None:
    """Refuse groups that a score cannot be read from."""
    lacking = ", ".join(repr(g.name) for g in groups if row.on and not g.of(row.on))
    if lacking and row.on == "norm":
        raise ModelError(
            f"channels are scored by their BatchNorm ({kind}), but {lacking} has no BatchNorm; add "
            "one, or exclude the layer"
        )
    if lacking:
        raise ModelError(
            f"{kind} is scored on the neurons that a channel drives, but these drive none: "
            f"{lacking}; exclude them, or choose another score"
        )
