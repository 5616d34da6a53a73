"""From a masked net to a smaller one: cut dead channels and prove that the outputs stay."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.rest import reset
from spikeprune.cutting.dead_channels import DeadChannels, KeptChannel, dead_channels
from spikeprune.errors import DeadNetWarning, ModelError
from spikeprune.execution.forward import (
    call,
    device_of,
    evaluating,
    first_tensor,
    is_static,
    map_tensors,
    same_draws,
    tensors_of,
)
from spikeprune.execution.precision import exact, like_parameters
from spikeprune.measuring.synops import counting
from spikeprune.pruning.averaged_copies import notes_on_averages
from spikeprune.pruning.mask_keeper import live_weights
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.health import warnings_of
from spikeprune.science.masks import Mask
from spikeprune.wiring.channel_masks import channel_count
from spikeprune.wiring.channels import find_channels, left_whole
from spikeprune.wiring.cut_plan import Plan, apply_plan, cut_mask, plan_for
from spikeprune.wiring.cut_proof import Run, exact_groups, prove
from spikeprune.wiring.tied_channels import ChannelGroup

_LONGER = 8  # times T, to see whether a channel that is silent in T steps stays so


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
        warnings: signs that the masked net or a part of it is dead on the batch of the comparison,
            see `science.health.warnings_of`.
    """

    model: nn.Module
    plan: Plan
    mask: Mask
    before: dict[str, int]
    after: dict[str, int]
    kept_though_inputs_dead: list[KeptChannel] = field(default_factory=list)
    difference: float = 0.0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _choose(
    pruner: Pruner, run: Run, batch: Any
) -> tuple[tuple[ChannelGroup, ...], DeadChannels, tuple[str, ...]]:
    """Return the groups of channels, which of them stay, and notes."""
    if pruner.granularity.groups is not None:
        return pruner.granularity.groups, DeadChannels(pruner.granularity.live), ()
    model = pruner.model
    try:
        channels = find_channels(model, pruner.example, pruner.wiring, time_steps=pruner.time_steps)
    except ModelError as error:
        # Weights can be pruned in nets whose channels cannot be followed: such a net stays masked.
        return (), DeadChannels({}), (f"no channel was cut: {error}",)
    groups, notes = channels.groups, channels.notes
    found = dead_channels(model, groups, pruner.mask, run=partial(run, model))
    if found.silent and pruner.layout in ("sequence", "step"):
        longer, _ = _runs(pruner, batch, times=_LONGER)
        later = dead_channels(model, groups, pruner.mask, run=partial(longer, model))
        fires = [n for n in found.silent if not torch.equal(found.live[n], later.live[n])]
        if fires:
            note = (
                f"the cut is exact for {pruner.time_steps} time steps; a constant drives channels "
                f"of {', '.join(fires)} that were cut, and over more steps they would fire"
            )
            return groups, found, (*notes, note)
    return groups, found, notes


def _proved(
    model: nn.Module, groups: tuple[ChannelGroup, ...], found: DeadChannels, run: Run
) -> tuple[tuple[ChannelGroup, ...], float, tuple[str, ...]]:
    """Return the groups whose cut is exact, the difference of the outputs, and notes."""
    proof: tuple[float, tuple[str, ...]] = (0.0, ())

    def attempt(chosen: tuple[ChannelGroup, ...]) -> None:
        nonlocal proof
        proof = prove(model, plan_for(chosen, _of(chosen, found.live)), run)

    sound, whole = exact_groups(groups, attempt)  # its last attempt is that of its result
    if whole and not sound:
        return (), 0.0, (f"no channel was cut: {next(iter(whole.values()))}; use the net masked",)
    return sound, proof[0], (*proof[1], *left_whole(whole))


def _of(groups: tuple[ChannelGroup, ...], live: dict[str, Tensor]) -> dict[str, Tensor]:
    return {group.name: live[group.name] for group in groups}


def _runs(pruner: Pruner, batch: Any, *, times: int = 1) -> tuple[Run, tuple[str, ...]]:
    """Return the function that runs a net on a batch of its owner's, `times` T steps, and notes."""
    steps, layout = times * pruner.time_steps, pruner.layout
    last = pruner.last_call.arguments
    notes: tuple[str, ...] = ()
    if batch is None and last is None and not isinstance(layout, str):
        batch = pruner.example
    elif batch is None and last is None:
        noise = torch.Generator().manual_seed(0)
        example = first_tensor(pruner.example)
        batch = torch.randn((4, *example.shape[1:]), generator=noise).to(example)
        notes = ("the cut was proved on noise, because the pruner saw no batch in training",)

    def ask(model: nn.Module) -> Any:
        if batch is not None:
            whole = isinstance(batch, Tensor) and not is_static(batch, model)
            x = torch.cat([batch] * times) if whole and times > 1 else batch
            return call(model, _like(model, x), time_steps=steps, layout=layout)
        assert last is not None
        args, kwargs = _like(model, last)
        if layout == "step":
            return [model(*args, **kwargs) for _ in range(steps)]
        if times > 1 and args and isinstance(args[0], Tensor) and not is_static(args[0], model):
            args = (torch.cat([args[0]] * times), *args[1:])
        return model(*args, **kwargs)

    def run(model: nn.Module) -> Tensor:
        reset(model)
        with same_draws(model):  # of an encoder in the net
            output = ask(model)
        found = [t.flatten().double() for t in tensors_of(output) if t.is_floating_point()]
        if not found:
            raise ModelError("expected an output with floating numbers to compare nets by")
        return torch.cat(found)

    return run, notes


def _like(model: nn.Module, value: Any) -> Any:
    """Return arguments with floating tensors in the type of the model's parameters."""
    return map_tensors(value, lambda x: like_parameters(model, x.detach()))


def _health(pruner: Pruner, run: Run) -> tuple[str, ...]:
    """Return the signs that a masked net is dead, in part or as a whole, on one batch."""
    silent: dict[str, float] = {}
    if pruner.wiring.neurons:
        with counting(pruner.model, pruner.wiring) as counts:
            run(pruner.model)
        silent = counts.silent_shares()
    return warnings_of(live=live_weights(pruner.mask), silent=silent)


def _widths(model: nn.Module, layers: list[str]) -> dict[str, int]:
    return {name: channel_count(model.get_submodule(name), "out") or 0 for name in layers}


@torch.no_grad()
def cut(pruner: Pruner, batch: Any = None) -> Cut:
    """Close the pruner and cut the dead channels out of its model, in place.

    After channel pruning these are the pruned channels, after weight pruning the channels without
    function (method, section 4, "What dead means"). A cut of a copy first proves that the output
    stays that of the masked net. Where it does not, or where channels cannot be followed, they stay
    masked and a note says why. Modes stay as they are; the state of the neurons is reset.

    Args:
        pruner: its events are over; it is closed here.
        batch: input to compare on, in the form of the pruner's layout. None: the last batch that
            the model saw in training.
    """
    pruner.close()
    model = pruner.model
    run, notes = _runs(pruner, batch)
    device = device_of(model)
    with exact(device), evaluating(model):
        groups, found, more = _choose(pruner, run, batch)
        notes, warned = notes + more, _health(pruner, run)
        groups, difference, more = _proved(model, groups, found, run)
        notes += more + notes_on_averages(model, pruner.mask)
        reset(model)
    plan = plan_for(groups, _of(groups, found.live))
    layers = [name for group in groups for name in group.producers]
    before, mask = _widths(model, layers), cut_mask(model, pruner.mask, plan)
    apply_plan(model, plan)
    return Cut(
        model=model,
        plan=plan,
        mask=mask,
        before=before,
        after=_widths(model, layers),
        kept_though_inputs_dead=[
            kept for kept in found.kept_though_inputs_dead if kept["layer"] in layers
        ],
        difference=difference,
        notes=notes,
        warnings=warned,
    )


def compact(pruner: Pruner) -> nn.Module:
    """Cut the dead channels out of the pruner's model, in place, and return it (see `cut`).

    The optimiser's parameters are replaced: make a new optimiser to fine-tune further. A net that
    cannot be cut is returned masked, and a warning says why. Others say that the net is dead.
    """
    done = cut(pruner)
    for note in done.notes:
        if note.startswith("no channel was cut"):
            warnings.warn(note, stacklevel=2)
    for sign in done.warnings:
        warnings.warn(sign, DeadNetWarning, stacklevel=2)
    return done.model
