"""The axes of a neuron's potentials, from which entries change with the first sample."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeprune.adapters.spike_functions.site import Axes, Form


def axes_of(changed: Sequence[Tensor], *, sample: int, batch: int) -> Axes | None:
    """Return the axes of a neuron's argument; None if they cannot be told.

    Args:
        changed: by call, bool, where the argument changed when the first sample did.
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
