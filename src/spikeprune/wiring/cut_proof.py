"""The proof of a cut: the cut net's output is that of the masked net, on a batch of its owner's."""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.rest import reset
from spikeprune.errors import ModelError, one_line
from spikeprune.execution.forward import Layout, device_of, evaluating, same_draws, tensors_of
from spikeprune.execution.precision import exact
from spikeprune.science.masks import apply_
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.cut_plan import Plan, apply_plan, plan_for
from spikeprune.wiring.owners_call import possible_calls
from spikeprune.wiring.tied_channels import ChannelGroup

TOLERANCE = 1e-5
"""Largest difference of logits, relative to the largest logit, that cutting may cause."""

Run = Callable[[nn.Module], Tensor]
"""Runs a net on one batch, from rest, to all values of its output `[n]`."""

Groups = tuple[ChannelGroup, ...]


def difference(model: nn.Module, plan: Plan, run: Run) -> tuple[float, bool]:
    """Cut `model` in place; return the difference of the outputs and whether it is small enough."""
    masked = run(model)
    found = float((run(apply_plan(model, plan)) - masked).abs().max())
    return found, found <= TOLERANCE * max(1.0, float(masked.abs().max()))


def prove(model: nn.Module, plan: Plan, run: Run) -> tuple[float, tuple[str, ...]]:
    """Cut copies of `model`; return the difference of the outputs and notes on it.

    Sums over fewer channels round differently, which in a large net now and then moves a potential
    across its threshold and so changes a whole spike. Where single precision finds a difference,
    double precision distinguishes rounding from a cut that is not exact.

    Raises:
        ModelError: the cut net does not run, or its output differs.
    """
    reset(model)
    try:
        found, fine = difference(copied(model), plan, run)
    except Exception as error:  # the user's forward may have sizes in its code
        raise ModelError(
            f"the cut net does not run ({one_line(error)}), because its forward has sizes in its "
            "code"
        ) from error
    if fine:
        return found, ()
    try:
        double, fine = difference(copied(model).double(), plan, run)
    except Exception:  # code of one precision
        double = math.nan
    if fine:
        return double, (
            f"cutting is exact (difference of the logits in double precision {double:.3g}); in "
            "the model's own precision rounding moves potentials across thresholds: "
            f"{found:.3g}",
        )
    raise ModelError(
        f"the cut net's logits differ from the masked net's by {found:.3g} ({double:.3g} in "
        f"double precision), expected at most {TOLERANCE:g} of the largest: cutting is not exact"
    )


def exact_groups(
    groups: Groups, attempt: Callable[[Groups], object]
) -> tuple[Groups, dict[str, str]]:
    """Return the groups that can be cut together, and by layer why others cannot.

    `attempt` cuts the channels of groups in a copy and raises a ModelError if that is not exact.
    """
    together = _why_not(groups, attempt)
    if together is None:
        return groups, {}
    alone = {group.name: _why_not((group,), attempt) for group in groups}
    sound = tuple(group for group in groups if alone[group.name] is None)
    if len(sound) == len(groups) or (sound and _why_not(sound, attempt) is not None):
        sound, alone = (), dict.fromkeys(alone, together)
    whole = {
        layer: why for g in groups if (why := alone[g.name]) is not None for layer in g.producers
    }
    return sound, whole


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of a net, in which states under way have no graph behind them."""
    tensors = (t for m in model.modules() for t in (*vars(m).values(), *m.buffers(recurse=False)))
    under_way = [t for t in tensors if isinstance(t, Tensor) and t.grad_fn is not None]
    return copy.deepcopy(model, {id(t): t.detach().clone() for t in under_way})


def _why_not(groups: Groups, attempt: Callable[[Groups], object]) -> str | None:
    try:
        attempt(groups)
    except ModelError as error:
        return str(error)
    return None


def try_on_copy(model: nn.Module, groups: Groups, run: Run) -> None:
    """Cut a random half of each group's channels in a copy, and prove it against masks.

    The model and the global random numbers do not change.

    Raises:
        ModelError: the cut is not exact.
    """
    draw = torch.Generator().manual_seed(0)
    live = {g.name: torch.randperm(g.channels, generator=draw) % 2 == 0 for g in groups}
    device = device_of(model)
    with exact(device), evaluating(model), torch.no_grad():
        reset(model)
        masked = copied(model)
        apply_(dict(masked.named_parameters()), channel_masks(masked, groups, live))
        prove(masked, plan_for(groups, live), run)


def owners_run(model: nn.Module, example: Any, *, time_steps: int, layout: Layout) -> Run:
    """Return a function that runs a net on noise (or the owner's batch) as its owner calls it."""

    def calls(net: nn.Module) -> list[Callable[[], Any]]:
        ways = possible_calls(net, example, time_steps=time_steps, layout=layout)
        return [partial(way.run, way.x) for way in ways]

    def run(net: nn.Module, number: int) -> Tensor:
        reset(net)
        with same_draws(net), torch.no_grad():
            output = [*tensors_of(calls(net)[number]())]
        found = [t.flatten().double() for t in output if t.is_floating_point()]
        if not found:
            raise ModelError("expected an output with floating numbers to compare nets by")
        return torch.cat(found)

    numbers = range(len(calls(model)))
    with evaluating(model):
        first = next(n for n in numbers if n == numbers[-1] or _runs(partial(run, model, n)))
        reset(model)
    return lambda net: run(net, first)


def _runs(run: Callable[[], object]) -> bool:
    try:
        run()
    except Exception:  # anything that the user's code raises
        return False
    return True
