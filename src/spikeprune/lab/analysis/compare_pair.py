"""Comparison of two finished runs: differences in settings, and the quantities that compare."""

from typing import Any

import torch
from torch import Tensor

from spikeprune.errors import ModelError, RunError
from spikeprune.lab.analysis.file_measures import class_rows, synops_rows
from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.lab.settings.config import differences
from spikeprune.pruning.criteria import of_channels
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.science.masks import Mask, expected_overlap, overlap

_ELSEWHERE = ("data_root", "device", "threads", "channels_last", "fuse")
"""Options that change where and how fast a run computes, not its result."""


def differing(a: OpenedRun, b: OpenedRun) -> list[Findings]:
    """Return the differences of two runs in options, data, net and versions: `what`, `a`, `b`."""
    options = differences(a.config, b.config).items()
    found = {name: pair for name, pair in options if name not in _ELSEWHERE}
    one, two = _data_and_versions(a), _data_and_versions(b)
    for key in {**one, **two}:
        if one.get(key) != two.get(key):
            found[key] = (one.get(key), two.get(key))
    return [{"what": name, "a": in_a, "b": in_b} for name, (in_a, in_b) in found.items()]


def _data_and_versions(run: OpenedRun) -> dict[str, Any]:
    """Return the facts that the configuration does not hold: data as found, and versions."""
    data, versions = run.record.metrics.get("data") or {}, run.record.metrics.get("versions") or {}
    return {
        **{f"data.{name}": value for name, value in data.items() if name != "samples"},
        **{f"data.samples.{part}": n for part, n in (data.get("samples") or {}).items()},
        **{f"versions.{package}": version for package, version in versions.items()},
    }


def compare_pair(a: OpenedRun, b: OpenedRun) -> Findings:
    """Compare two runs in all quantities that can be compared; the others are `refused`."""
    found: Findings = {"differences": differing(a, b), "refused": []}
    nets, data = _other_net(a, b), _other_data(a, b)
    one, two = a.config.granularity, b.config.granularity
    masks = nets if one == two else f"one run pruned {one}s, the other {two}s"
    channels = nets if one == two == "channel" else "it takes two runs that prune channels"
    for quantity, key, obstacle, measure in (
        ("overlap of masks", "overlap", masks, _overlap),
        ("importance of channels that one run kept", "importance", channels, _importance),
        ("change of accuracy per class", "classes", data, _classes),
        ("change of SynOps per layer", "synops", "; ".join(filter(None, [nets, data])), _synops),
    ):
        reason = obstacle
        if not reason:
            try:
                found[key] = measure(a, b)
            except (ModelError, RunError) as error:  # the last: code of the net is not trusted
                reason = str(error)
        if reason:
            found["refused"].append({"quantity": quantity, "reason": reason})
    return found


def _other_net(a: OpenedRun, b: OpenedRun) -> str:
    """Return how the nets differ; empty if they are the same."""
    one, two = a.plan["model"], b.plan["model"]
    if one == two:
        return ""
    words = [] if one["name"] == two["name"] else [f"{one['name']} and {two['name']}"]
    for key in {**one["arguments"], **two["arguments"]}:
        in_a, in_b = one["arguments"].get(key), two["arguments"].get(key)
        if in_a != in_b:
            words.append(f"{key} {in_a} and {in_b}")
    return f"the nets differ: {', '.join(words)}"


def _other_data(a: OpenedRun, b: OpenedRun) -> str:
    one, two = a.record.metrics["data"], b.record.metrics["data"]
    if one.get("label") != two.get("label"):
        return f"the data differ: {one.get('label')} and {two.get('label')}"
    tests = [(data.get("samples") or {}).get("test") for data in (one, two)]
    if tests[0] == tests[1] and one.get("classes") == two.get("classes"):
        return ""
    return f"the test sets differ: {tests[0]} and {tests[1]} samples, or other classes"


def _overlap(a: OpenedRun, b: OpenedRun) -> Findings:
    if a.config.prunes_channels:
        one, two = a.live_channels, b.live_channels
    else:
        names = [name for name in a.masks if name in b.masks]
        if not names:
            raise ModelError("the runs pruned no layer in common")
        one, two = (Mask({n: run.masks[n] for n in names}) for run in (a, b))
    rows = []
    for name in one:
        compared = _overlap_and_chance(Mask({name: one[name]}), Mask({name: two[name]}))
        rows.append({"layer": name.removesuffix(".weight"), **compared})
    return {"unit": a.record.unit, "all": _overlap_and_chance(one, two), "layers": rows}


def _overlap_and_chance(a: Mask, b: Mask) -> dict[str, float]:
    return {
        "a_density": a.density,
        "b_density": b.density,
        "overlap": overlap(a, b),
        "by_chance": expected_overlap(a, b),
    }


def _importance(a: OpenedRun, b: OpenedRun) -> Findings:
    """Return |gamma| of the finished nets, min-max over each, by who kept a channel (Fig. 3b)."""
    gammas = {"a": _scaled_gamma(a), "b": _scaled_gamma(b)}
    names = list(gammas["a"])
    in_a, in_b = ({n: run.live_channels[n] for n in names} for run in (a, b))
    kept_by = {
        "only_a": {n: in_a[n] & ~in_b[n] for n in names},
        "only_b": {n: in_b[n] & ~in_a[n] for n in names},
        "both": {n: in_a[n] & in_b[n] for n in names},
        "neither": {n: ~in_a[n] & ~in_b[n] for n in names},
    }
    found: Findings = {}
    for who, run in (("only_a", "a"), ("only_b", "b"), ("both", "a"), ("both", "b")):
        name = f"both_in_{run}" if who == "both" else who
        values = torch.cat([gammas[run][n][kept_by[who][n]] for n in names])
        mean = float(values.mean()) if len(values) else None
        found[name] = {"channels": len(values), "importance": mean}
    found["layers"] = [
        {"layer": n, **{who: int(masks[n].sum()) for who, masks in kept_by.items()}} for n in names
    ]
    return found


def _scaled_gamma(run: OpenedRun) -> dict[str, Tensor]:
    """Return importance in [0, 1] of every channel by group, NaN where it was cut.

    The scales of the cut net are put back to their places in the full net, so that tied channels
    are reduced as at the pruning events.
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
    seen = Observations(torch.Generator())
    inputs = of_channels.ChannelScoreInputs(seen, run.full, run.config.channels.reducer)
    by_scale = of_channels.CHANNEL_SALIENCY["batchnorm-scale"]
    scores = of_channels.channel_scores(groups, "batchnorm-scale", by_scale, inputs)
    live_scores = torch.cat([scores[name][run.live_channels[name]] for name in scores])
    low, high = float(live_scores.min()), float(live_scores.max())
    spread = high - low or 1.0  # if all are equal, all become 0
    return {
        name: torch.where(run.live_channels[name], (values - low) / spread, torch.nan).double()
        for name, values in scores.items()
    }


def _classes(a: OpenedRun, b: OpenedRun) -> list[Findings]:
    one, two = (run.record.pruned["per_class_accuracy"] for run in (a, b))
    return class_rows(a.record.metrics["data"]["classes"], one, two)


def _synops(a: OpenedRun, b: OpenedRun) -> list[Findings]:
    return synops_rows(a.record.layers("pruned"), b.record.layers("pruned"))
