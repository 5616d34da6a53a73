"""Two finished runs side by side: what differs, what may be compared, and the comparison."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.lab.analysis.file_measures import class_rows, synops_rows
from spikeprune.lab.analysis.opened_run import Opened
from spikeprune.lab.report.run_record import Row
from spikeprune.lab.settings.config import differences
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.criteria.of_channels import (
    CHANNEL_SALIENCY,
    ChannelScoreInputs,
    channel_scores,
)
from spikeprune.science.masks import Mask, expected_overlap, overlap

_ELSEWHERE = ("data_root", "device", "threads", "channels_last", "fuse")
"""Options that say where and how fast a run computes, not what."""


def differing(a: Opened, b: Opened) -> list[Row]:
    """Return what two runs differ in: options, data, net and versions, as `what`, `a`, `b`."""
    found = {
        name: pair
        for name, pair in differences(a.config, b.config).items()
        if name not in _ELSEWHERE
    }
    one, two = _facts(a), _facts(b)
    for key in dict.fromkeys([*one, *two]):
        if one.get(key) != two.get(key):
            found[key] = (one.get(key), two.get(key))
    return [{"what": name, "a": one, "b": two} for name, (one, two) in found.items()]


def _facts(run: Opened) -> Row:
    """Return what the configuration does not tell: the data as they were found, and versions."""
    data, versions = (run.record.metrics.get(name) or {} for name in ("data", "versions"))
    samples = data.get("samples") or {}
    facts = {f"data.{key}": value for key, value in data.items() if key != "samples"}
    facts |= {f"data.samples.{key}": value for key, value in samples.items()}
    return facts | {f"versions.{key}": value for key, value in versions.items()}


def compare(a: Opened, b: Opened) -> Row:
    """Return what two runs have to say about each other, and why they are silent about the rest.

    Returns:
        `differences`, `refused` (quantity and reason), and those of `overlap`, `importance`,
        `classes` and `synops` that make sense.
    """
    found: Row = {"differences": differing(a, b), "refused": []}
    for quantity, key, reason, measure in (
        ("overlap of masks", "overlap", _other_masks, _overlap),
        ("importance of channels that one run kept", "importance", _no_channels, _importance),
        ("change of accuracy per class", "classes", _other_data, _classes),
        ("change of SynOps per layer", "synops", _other_work, _synops),
    ):
        why = reason(a, b)
        if not why:
            try:
                found[key] = measure(a, b)
            except ModelError as error:
                why = str(error)
        if why:
            found["refused"].append({"quantity": quantity, "reason": why})
    return found


# -- what may be compared --------------------------------------------------------------------


def _other_net(a: Opened, b: Opened) -> str:
    one, two = (run.plan["model"] for run in (a, b))
    if one == two:
        return ""
    keys = [k for k in {**one["arguments"], **two["arguments"]} if _argument(one, two, k)]
    names = "" if one["name"] == two["name"] else f"{one['name']} and {two['name']}"
    return (
        f"the nets differ: {', '.join(filter(None, [names, *(_words(one, two, k) for k in keys)]))}"
    )


def _argument(one: Row, two: Row, key: str) -> bool:
    return bool(one["arguments"].get(key) != two["arguments"].get(key))


def _words(one: Row, two: Row, key: str) -> str:
    return f"{key} {one['arguments'].get(key)} and {two['arguments'].get(key)}"


def _other_masks(a: Opened, b: Opened) -> str:
    kinds = [run.config.granularity for run in (a, b)]
    if kinds[0] != kinds[1]:
        return f"one run pruned {kinds[0]}s, the other {kinds[1]}s"
    return _other_net(a, b)


def _no_channels(a: Opened, b: Opened) -> str:
    if any(run.config.granularity != "channel" for run in (a, b)):
        return "it takes two runs that prune channels"
    return _other_net(a, b)


def _other_data(a: Opened, b: Opened) -> str:
    facts = []
    for run in (a, b):
        data = run.record.metrics["data"]
        facts.append(
            (data.get("label"), data.get("classes"), (data.get("samples") or {}).get("test"))
        )
    if facts[0] == facts[1]:
        return ""
    if facts[0][0] != facts[1][0]:
        return f"the data differ: {facts[0][0]} and {facts[1][0]}"
    return f"the test sets differ: {facts[0][2]} and {facts[1][2]} samples, or other classes"


def _other_work(a: Opened, b: Opened) -> str:
    return "; ".join(filter(None, [_other_net(a, b), _other_data(a, b)]))


# -- the comparison --------------------------------------------------------------------------


def _overlap(a: Opened, b: Opened) -> Row:
    if a.config.granularity == "channel":
        one, two = a.live_channels, b.live_channels
    else:
        names = [name for name in a.masks if name in b.masks]
        if not names:
            raise ModelError("the runs pruned no layer in common")
        one, two = (Mask({n: run.masks[n] for n in names}) for run in (a, b))
    rows = [
        {"layer": n.removesuffix(".weight"), **_jaccard(_part(one, n), _part(two, n))} for n in one
    ]
    return {"unit": a.record.unit, "all": _jaccard(one, two), "layers": rows}


def _part(mask: Mask, name: str) -> Mask:
    return Mask({name: mask[name]})


def _jaccard(a: Mask, b: Mask) -> Row:
    return {
        "a_density": a.density,
        "b_density": b.density,
        "overlap": overlap(a, b),
        "by_chance": expected_overlap(a, b),
    }


def _importance(a: Opened, b: Opened) -> Row:
    """Return |gamma| of the finished nets, min-max over each, by who kept a channel (Fig. 3b)."""
    sides = [_scaled_gamma(run) for run in (a, b)]
    live = [{n: run.live_channels[n] for n in sides[0]} for run in (a, b)]
    groups: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
        "only_a": (0, lambda one, two: one & ~two),
        "only_b": (1, lambda one, two: two & ~one),
        "both_in_a": (0, lambda one, two: one & two),
        "both_in_b": (1, lambda one, two: one & two),
    }
    found: Row = {}
    for name, (side, choose) in groups.items():
        chosen = {n: choose(live[0][n], live[1][n]) for n in live[0]}
        values = torch.cat([sides[side][n][chosen[n]] for n in chosen])
        found[name] = {
            "channels": len(values),
            "importance": float(values.mean()) if len(values) else None,
        }
    rows = [
        {
            "layer": n,
            "only_a": int((live[0][n] & ~live[1][n]).sum()),
            "only_b": int((live[1][n] & ~live[0][n]).sum()),
            "both": int((live[0][n] & live[1][n]).sum()),
            "neither": int((~live[0][n] & ~live[1][n]).sum()),
        }
        for n in live[0]
    ]
    return {**found, "layers": rows}


def _scaled_gamma(run: Opened) -> dict[str, Tensor]:
    """Return importance in [0, 1] of every channel by group, NaN where it was cut.

    The scales of the cut net are put back to their places in the full net, so that tied channels
    are reduced as when they were ranked.
    """
    full, cut = dict(run.full.named_modules()), dict(run.net.named_modules())
    groups = tuple(group for group in run.groups if group.norms)
    if not groups:
        raise ModelError("the net has no BatchNorm whose scale would tell importance")
    for norm in {name for group in groups for name in group.norms}:
        weight: Any = full[norm].weight
        live = run.kept(norm, "norm", len(weight))
        weight.data.zero_()
        weight.data[live] = cut[norm].weight.detach().to(weight.device)
    inputs = ChannelScoreInputs(
        Observations(torch.Generator()), run.full, run.config.channels.reducer
    )
    by_scale = CHANNEL_SALIENCY["batchnorm-scale"]
    ranks = channel_scores(groups, "batchnorm-scale", by_scale, inputs)
    live_values = torch.cat([ranks[name][run.live_channels[name]] for name in ranks])
    low, high = float(live_values.min()), float(live_values.max())
    spread = high - low or 1.0  # all alike: all 0
    return {
        name: torch.where(run.live_channels[name], (values - low) / spread, torch.nan).double()
        for name, values in ranks.items()
    }


def _classes(a: Opened, b: Opened) -> list[Row]:
    classes = a.record.metrics["data"]["classes"]
    one, two = (run.record.pruned["per_class_accuracy"] for run in (a, b))
    return class_rows(classes, one, two)


def _synops(a: Opened, b: Opened) -> list[Row]:
    return synops_rows(a.record.layers("pruned"), b.record.layers("pruned"))
