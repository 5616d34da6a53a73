"""The axes of what neurons and layers read, from which entries change with the first sample."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.adapters.spike_functions.site import Axes, Form


class Reads(NamedTuple):
    """How a layer reads over time."""

    axes: Axes
    once: bool  # whether it runs in one step alone of a forward of several


def reads_of(
    changed: Sequence[Tensor], *, sample: int, batch: int, steps: int | None
) -> Reads | None:
    """Return how a layer reads; None if it cannot be told, or it runs some of the steps only.

    Args:
        changed: by call, bool, where its input changed when the first sample did.
        sample: number of axes of one sample at one step.
        batch: number of samples.
        steps: time steps of a forward, as far as known.
    """
    axes = axes_of(changed, sample=sample, batch=batch) if changed else None
    if axes is None:
        return None
    ran = axes.steps * len(changed)
    return Reads(axes, once=steps not in (None, ran)) if ran in (1, steps) else None


def axes_of(changed: Sequence[Tensor], *, sample: int, batch: int) -> Axes | None:
    """Return the axes of what a neuron or layer reads; None if they cannot be told.

    Args:
        changed: by call, bool, where that changed when the first sample did.
        sample: number of axes of one sample at one step.
        batch: number of samples.
    """
    found = {_axes(one, sample, batch) for one in changed}
    found.discard(None)
    sizes = {one.shape[: one.ndim - sample] for one in changed}
    if len(sizes) != 1:
        return None
    if not found and not any(bool(one.any()) for one in changed):  # a dead net: by size alone
        found = {_by_size(next(iter(sizes)), sample, batch)}
    return next(iter(found)) if len(found) == 1 else None


def _axes(changed: Tensor, sample: int, batch: int) -> Axes | None:
    """Return the one reading of a call's axes under which only the first sample changed."""
    lead = changed.reshape(*changed.shape[: changed.ndim - sample], -1).any(-1)
    if not lead.any():
        return None
    steps = lead.numel() // batch
    if lead.numel() != steps * batch:
        return None
    rows = lead.reshape(-1)
    readings: list[tuple[Form, Tensor]] = []
    if lead.ndim == 1 and steps == 1:
        readings = [("B", rows[1:])]
    elif lead.ndim == 1:
        readings = [
            ("(T B)", rows.view(steps, batch)[:, 1:]),
            ("(B T)", rows.view(batch, steps)[1:]),
        ]
    elif lead.ndim == 2:
        if lead.shape == (steps, batch):
            readings.append(("T B", lead[:, 1:]))
        if lead.shape == (batch, steps):
            readings.append(("B T", lead[1:]))
    forms = [form for form, others in readings if not others.any()]
    return Axes(forms[0], steps, sample) if len(forms) == 1 else None


def _by_size(lead: torch.Size, sample: int, batch: int) -> Axes | None:
    if lead == (batch,):
        return Axes("B", 1, sample)
    if len(lead) == 2 and lead[1] == batch != lead[0]:
        return Axes("T B", lead[0], sample)
    return None
