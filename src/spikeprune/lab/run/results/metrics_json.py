"""`metrics.json`: what a run found, in one place and in one form.

Policy of the schema: its number is `lab.report.run_record.SCHEMA`. A new key leaves the number. A
key that is removed, renamed or changes its meaning or unit raises it by one, and the report keeps
reading the older ones or refuses them with a message.
"""

import resource
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikeprune._version import __version__
from spikeprune.cutting.compact import Cut
from spikeprune.distributed.collectives import world_size
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.report.run_record import SCHEMA
from spikeprune.lab.run.results.versions import versions
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.lab.settings.imp_rounds import epochs_of
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.masks import Mask


@dataclass(frozen=True)
class Pruned:
    """The pruned net of a run: trained, cut, with what it cost."""

    cut: Cut
    pruner: Pruner
    full_mask: Mask
    spent: TrainingCost


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def assemble(
    session: Session, dense: dict[str, Any], pruned: dict[str, Any], result: Pruned | None
) -> dict[str, Any]:
    """Return the content of `metrics.json`.

    Args:
        session: what was run.
        dense: measurements and cost of the dense net, as its folder holds them.
        pruned: measurements of the pruned net.
        result: the run's `Pruned`, or None when nothing was pruned.
    """
    config, info = session.config, session.data.info
    metrics: dict[str, Any] = {
        "schema": SCHEMA,
        "spikeprune": __version__,
        "method": config.method,
        "granularity": config.granularity,
        "command": shlex.join(
            ["spikeprune", "run", "--recipe", str(config.folder / "config.yaml")]
        ),
        "data": {
            "name": info.name,
            "label": info.label,
            "classes": list(info.classes),
            "shape": list(info.shape),
            "kind": info.kind,
            "samples": {
                "train": session.data.score.samples,
                "validation": session.data.validation.samples,
                "test": session.data.test.samples,
            },
        },
        "model": session.description,
        "start": config.start,
        "time_steps": config.time_steps,
        "seed": config.seed,
        "device": str(session.device),
        "threads": torch.get_num_threads(),
        "processes": world_size(),
        "precision": config.precision,
        "compiled": session.compiled,
        "versions": versions(),
        "target": {
            "sparsity": config.sparsity,
            "budget": config.channels.budget if config.granularity == "channel" else config.budget,
        },
        "static_first_layer": session.runs_first_layer_once,
        "dense": dense["metrics"],
        "pruned": pruned,
        "event_driven": None,
    }
    return metrics | (
        _nothing_pruned(session, dense)
        if result is None
        else _pruning(session, dense, pruned, result)
    )


def _cost(session: Session, spent: TrainingCost, dense: dict[str, Any]) -> dict[str, Any]:
    pruning, total = epochs_of(session.config)
    return {
        "pruning_epochs": pruning,
        "total_epochs": total,
        "training_flops": spent.flops,
        "training_flops_sparse": spent.flops_sparse,
        "wall_seconds": spent.seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "dense": {
            "total_epochs": dense["cost"]["total_epochs"],
            "training_flops": dense["cost"]["flops"],
            "wall_seconds": dense["cost"]["seconds"],
        },
    }


def _nothing_pruned(session: Session, dense: dict[str, Any]) -> dict[str, Any]:
    cost = dense["cost"]
    spent = TrainingCost(cost["flops"], cost["flops_sparse"], cost["seconds"])
    return {
        "cost": _cost(session, spent, dense)
        | {"pruning_epochs": 0, "total_epochs": cost["total_epochs"]},
        "regrowth": {"events": [], "survival_mean": None},
        "criticality": {},
        "cut": {},
        "notes": ["the method is dense: nothing was pruned", *_start_notes(session)],
    }


def _pruning(
    session: Session, dense: dict[str, Any], measured: dict[str, Any], result: Pruned
) -> dict[str, Any]:
    pruner = result.pruner
    survivals = [e.survival for e in pruner.events if e.survival is not None]
    return {
        "cost": _cost(session, result.spent, dense),
        "regrowth": {
            "events": [
                event.to_dict() | {"epoch": event.step / session.steps_per_epoch}
                for event in pruner.events
            ],
            "survival_mean": sum(survivals) / len(survivals) if survivals else None,
        },
        "criticality": {
            name: [round(value, 6) for value in scores.tolist()]
            for name, scores in pruner.last_scores.items()
        },
        "cut": {
            "channels_before": result.cut.before,
            "channels_after": result.cut.after,
            "kept_though_inputs_dead": result.cut.kept_though_inputs_dead,
            "masked_vs_cut_max_abs_diff": result.cut.difference,
        },
        "notes": [
            *_start_notes(session),
            *_curve_notes(session),
            *result.cut.notes,
            *_event_notes(pruner),
            *_synops_notes(pruner, dense["metrics"], measured),
        ],
    }


def _start_notes(session: Session) -> list[str]:
    """Label a run that prunes a trained net, and say what the net before it is."""
    config = session.config
    if config.start != "checkpoint":
        return []
    epochs = config.dense_epochs
    before = f"that checkpoint trained for {epochs} more epochs" if epochs else "that checkpoint"
    return [f"started from the checkpoint {Path(str(config.weights)).name}; dense is {before}"]


def _curve_notes(session: Session) -> list[str]:
    if not session.config.curves:
        return []
    return ["test accuracy was recorded after every epoch, to be shown: nothing was chosen by it"]


def _event_notes(pruner: Pruner) -> list[str]:
    use = pruner.events[-1].budget
    if use is None:
        return []
    notes = [
        f"{use.unit}: {use.cost:,.0f} of {use.total:,.0f} left, "
        f"{use.allowed - use.cost:,.0f} below the budget"
    ]
    if use.forced:
        forced = ", ".join(f"{name} +{n}" for name, n in use.forced.items())
        notes.append(f"floors or rounding kept channels that the ranking would have cut: {forced}")
    return notes


def _synops_notes(pruner: Pruner, dense: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    """Say what became of a budget of SynOps: rates move while the net is fine-tuned."""
    last = pruner.events[-1]
    if last.budget is None or last.budget.unit != "synops":
        return []
    weights = pruner.options.granularity == "weight"
    names = last.layers if weights else [row["name"] for row in dense["layers"]]
    before, after = (
        sum(row["synops"] for row in net["layers"] if row["name"] in names)
        for net in (dense, measured)
    )
    return [
        f"the finished net takes {percent(after / before)} of the dense net's SynOps on the test "
        f"set, where {percent(last.budget.allowed / last.budget.total)} were allowed at "
        "the last event: firing rates move while it is fine-tuned"
    ]
