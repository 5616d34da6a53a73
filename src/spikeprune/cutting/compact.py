"""From a masked net to a smaller one: cut dead channels and prove that the outputs stay."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.cutting.cut_plan import Plan, apply_plan, cut_mask, plan_for
from spikeprune.cutting.dead_channels import DeadChannels, KeptChannel, dead_channels
from spikeprune.errors import ModelError
from spikeprune.execution.forward import evaluating, forward
from spikeprune.execution.precision import exact
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup, channel_groups

TOLERANCE = 1e-5
"""Largest difference of logits, relative to the largest logit, that cutting may cause."""

Run = Callable[[nn.Module, Tensor], Tensor]
"""A net and a batch to logits."""


@dataclass(frozen=True)
class Cut:
    """A net after the cut, and what the cut changed.

    Attributes:
        model: the net, cut in place.
        plan: JSON values by which `apply_plan` cuts a net built anew in the same way.
        mask: masks of the cut net's parameters.
        before: output channels before the cut, by layer whose channels can be cut.
        after: output channels of these layers after the cut.
        kept_though_inputs_dead: channels that stay though no live weight leads to them.
        difference: largest absolute difference of the logits, masked against cut (in double
            precision where a note says so).
        notes: sentences on what could not be cut, or not be proved in the model's own precision.
    """

    model: nn.Module
    plan: Plan
    mask: Mask
    before: dict[str, int]
    after: dict[str, int]
    kept_though_inputs_dead: list[KeptChannel] = field(default_factory=list)
    difference: float = 0.0
    notes: tuple[str, ...] = ()


def _choose(
    pruner: Pruner, run: Run, batch: Tensor
) -> tuple[tuple[ChannelGroup, ...], DeadChannels, tuple[str, ...]]:
    """Return the groups of channels, which of them stay, and notes."""
    if pruner.granularity.groups is not None:
        return pruner.granularity.groups, DeadChannels(pruner.granularity.live), ()
    model = pruner.model
    try:
        groups = channel_groups(model, pruner.example, pruner.wiring)
    except ModelError as error:
        # Weights can be pruned in nets whose channels cannot be followed: such a net stays masked.
        return (), DeadChannels({}), (f"no channel was cut: {error}",)
    found = dead_channels(model, groups, pruner.mask, example=batch, forward=partial(run, model))
    return groups, found, ()


def _difference(model: nn.Module, plan: Plan, run: Run, batch: Tensor) -> tuple[float, bool]:
    """Cut `model` in place; return the difference of the logits and whether it is small enough."""
    masked = run(model, batch)
    difference = float((run(apply_plan(model, plan), batch) - masked).abs().max())
    return difference, difference <= TOLERANCE * max(1.0, float(masked.abs().max()))


def _prove(model: nn.Module, plan: Plan, run: Run, batch: Tensor) -> tuple[float, tuple[str, ...]]:
    """Cut copies of `model`; return the difference of the logits and notes on it.

    Sums over fewer channels round differently, which in a large net now and then moves a potential
    across its threshold and so changes a whole spike. Where single precision finds a difference,
    double precision distinguishes rounding from a cut that is not exact.
    """
    adapter_for(model).reset(model)
    difference, fine = _difference(copy.deepcopy(model), plan, run, batch)
    if fine:
        return difference, ()
    doubled = copy.deepcopy(model).double()
    double, fine = _difference(doubled, plan, run, batch.double())
    if fine:
        return double, (
            f"cutting is exact (difference of the logits in double precision {double:.3g}); in "
            "the model's own precision rounding moves potentials across thresholds: "
            f"{difference:.3g}",
        )
    raise ModelError(
        f"the cut net's logits differ from the masked net's by {difference:.3g} ({double:.3g} in "
        f"double precision), expected at most {TOLERANCE:g} of the largest: cutting is not exact "
        "for this net. It was left uncut; use it masked"
    )


def _widths(model: nn.Module, layers: list[str]) -> dict[str, int]:
    return {name: model.get_submodule(name).get_parameter("weight").shape[0] for name in layers}


@torch.no_grad()
def cut(pruner: Pruner, batch: Tensor | None = None) -> Cut:
    """Close the pruner and cut the dead channels out of its model, in place.

    After channel pruning these are the pruned channels, after weight pruning the channels without
    function (method, section 4, "What dead means"). A cut of a copy first proves that the logits
    stay those of the masked net. Modes stay as they are; the state of the neurons is reset.

    Args:
        pruner: its events are over; it is closed here.
        batch: input to compare on; None draws one.

    Raises:
        ModelError: masked and cut net disagree; the model is left masked and uncut.
    """
    pruner.close()
    model = pruner.model
    if batch is None:
        noise = torch.Generator().manual_seed(0)
        shape = (4, *pruner.example.shape[1:])
        batch = torch.randn(shape, generator=noise).to(pruner.example)
    run = partial(forward, time_steps=pruner.time_steps, layout=pruner.layout)
    with exact(batch.device), evaluating(model):
        groups, found, notes = _choose(pruner, run, batch)
        plan = plan_for(groups, found.live)
        difference, more_notes = _prove(model, plan, run, batch)
    layers = [name for group in groups for name in group.producers]
    before, mask = _widths(model, layers), cut_mask(model, pruner.mask, plan)
    apply_plan(model, plan)
    return Cut(
        model=model,
        plan=plan,
        mask=mask,
        before=before,
        after=_widths(model, layers),
        kept_though_inputs_dead=found.kept_though_inputs_dead,
        difference=difference,
        notes=notes + more_notes,
    )


def compact(pruner: Pruner) -> nn.Module:
    """Cut the dead channels out of the pruner's model, in place, and return it (see `cut`).

    The optimiser's parameters are replaced: make a new optimiser to fine-tune further.

    Raises:
        ModelError: masked and cut net disagree; the model is left masked and uncut.
    """
    return cut(pruner).model
