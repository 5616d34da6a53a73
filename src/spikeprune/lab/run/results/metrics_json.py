"""`metrics.json`: all results of a run.

Policy of the schema: its number is `lab.report.run_record.SCHEMA`. A new key leaves the number. A
key that is removed or renamed, or changes its meaning or unit, raises it by one; the report then
still reads older schemas or refuses them with a message.
"""

import resource
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikeprune._version import __version__
from spikeprune.cutting.compact import Cut
from spikeprune.data import Data
from spikeprune.distributed.collectives import world_size
from spikeprune.lab.report.number_words import budget_name, percent
from spikeprune.lab.report.run_record import SCHEMA
from spikeprune.lab.run.identity.standing import Record, notes_of
from spikeprune.lab.run.results.records import DenseMetrics, Measured
from spikeprune.lab.run.results.versions import versions
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import epochs_of
from spikeprune.manifest import NAME
from spikeprune.pruning.option_types import OPERATIONS
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.cost import operation_nj
from spikeprune.science.masks import Mask
from spikeprune.user_code import named_code


@dataclass(frozen=True)
class Pruned:
    """The trained and cut net of a run; `full_mask` has the masks before the cut."""

    cut: Cut
    pruner: Pruner
    full_mask: Mask
    cost: TrainingCost


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def assemble(
    session: Session, dense: DenseMetrics, pruned: Measured, result: Pruned | None
) -> dict[str, Any]:
    """Return the content of `metrics.json`; latencies and the event-driven net are the caller's."""
    config = session.config
    folder = RunFolder(config.folder)
    record = Record.read(folder)
    recipe = shlex.quote(str(config.folder / "config.yaml"))
    trust = " --trust-code" if named_code(config.to_dict()) else ""
    return {
        "schema": SCHEMA,
        "spikeprune": __version__,
        "method": config.method,
        "granularity": config.granularity,
        "command": f"spikeprune run --recipe {recipe}{trust}",
        "data": _data(session.data),
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
        "identity": record and record.identity.short,
        "target": _target(config),
        "static_first_layer": session.runs_first_layer_once,
        "checksums": NAME,
        "dense": dense["metrics"],
        "pruned": pruned,
        "event_driven": None,
        "cost": _cost(session, dense, None if result is None else result.cost),
        **_pruning(result, session.steps_per_epoch),
        "notes": _notes(session, dense, pruned, result) + notes_of(folder),
    }


def _data(data: Data) -> dict[str, Any]:
    info = data.info
    return {
        "name": info.name,
        "label": info.label,
        "classes": list(info.classes),
        "shape": list(info.shape),
        "kind": info.kind,
        "samples": {
            "train": data.score.samples,
            "validation": data.validation.samples,
            "test": data.test.samples,
        },
    }


def _cost(session: Session, dense: DenseMetrics, cost: TrainingCost | None) -> dict[str, Any]:
    """Return the cost of the pruned net; without one (None), that of the dense net."""
    of_dense = dense["cost"]
    if cost is None:
        cost = TrainingCost(of_dense["flops"], of_dense["flops_sparse"], of_dense["seconds"])
        pruning, total = 0, of_dense["total_epochs"]
    else:
        pruning, total = epochs_of(session.config)
    return {
        "pruning_epochs": pruning,
        "total_epochs": total,
        "training_flops": cost.flops,
        "training_flops_sparse": cost.flops_sparse,
        "teacher_flops": cost.flops_teacher,
        "wall_seconds": cost.seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "dense": {
            "total_epochs": of_dense["total_epochs"],
            "training_flops": of_dense["flops"],
            "wall_seconds": of_dense["seconds"],
        },
    }


def _pruning(result: Pruned | None, steps_per_epoch: int) -> dict[str, Any]:
    """Return the events, the criticality of the last one, and the cut; empty without pruning."""
    if result is None:
        return {"regrowth": {"events": [], "survival_mean": None}, "criticality": {}, "cut": {}}
    events, scores, cut = result.pruner.events, result.pruner.last_scores, result.cut
    survivals = [event.survival for event in events if event.survival is not None]
    return {
        "regrowth": {
            "events": [e.to_dict() | {"epoch": e.step / steps_per_epoch} for e in events],
            "survival_mean": sum(survivals) / len(survivals) if survivals else None,
        },
        "criticality": {
            name: [round(value, 6) for value in one.tolist()] for name, one in scores.items()
        },
        "cut": {
            "channels_before": cut.before,
            "channels_after": cut.after,
            "kept_though_inputs_dead": cut.kept_though_inputs_dead,
            "masked_vs_cut_max_abs_diff": cut.difference,
        },
    }


def _notes(
    session: Session, dense: DenseMetrics, pruned: Measured, result: Pruned | None
) -> list[str]:
    config = session.config
    # What a figure does not contain is said first.
    measured = (dense["metrics"], pruned)
    notes = list(dict.fromkeys(note for net in measured for note in net.get("notes", ())))
    notes += session.without_effect
    notes += _threads_note(session)
    if result is None:
        notes.append("the method is dense: nothing was pruned")
    if config.start == "checkpoint":
        epochs, file = config.dense_epochs, Path(str(config.weights)).name
        trained = f" trained for {epochs} more epochs" if epochs else ""
        notes.append(f"started from the checkpoint {file}; dense is that checkpoint{trained}")
    if result is None:
        return notes
    if config.curves:
        notes.append(
            "test accuracy was recorded after every epoch, to be shown: nothing was chosen by it"
        )
    notes += result.cut.notes
    return notes + _budget_notes(result.pruner, dense["metrics"], pruned)


def _threads_note(session: Session) -> list[str]:
    threads = torch.get_num_threads()
    if session.device.type != "cpu" or threads == 1:
        return []
    return [
        f"the same seed gives the same bits again with {threads} CPU threads; another number of "
        "threads rounds gradients differently and ends in other masks"
    ]


def _budget_notes(pruner: Pruner, dense: Measured, pruned: Measured) -> list[str]:
    """Return the use of each budget, of operations also by the finished net."""
    last = pruner.events[-1]
    if last.budget is None:
        return []
    uses = (last.budget, *last.budget.within)
    notes = [
        f"{use.unit}: {_shown(use.cost, use.unit)} of {_shown(use.total, use.unit)} left, "
        f"{_shown(max(0.0, use.allowed - use.cost), use.unit)} below the budget"
        for use in uses
    ]
    if last.budget.forced:
        forced = ", ".join(f"{name} +{n}" for name, n in last.budget.forced.items())
        notes.append(f"floors or rounding kept channels that the ranking would have cut: {forced}")
    channels = pruner.granularity.groups is not None
    for use in (one for one in uses if one.unit in OPERATIONS):
        names = [row["name"] for row in dense["layers"]] if channels else list(last.layers)
        before, after = (
            sum(_cost_of(row, use.unit) for row in net["layers"] if row["name"] in names)
            for net in (dense, pruned)
        )
        what = budget_name(use.unit)
        notes.append(
            f"the finished net takes {percent(after / before)} of the dense net's {what} on the "
            f"test set, where {percent(use.allowed / use.total)} were allowed at the last event: "
            "firing rates move while it is fine-tuned"
        )
    return notes


def _cost_of(row: Mapping[str, Any], unit: str) -> float:
    """Return SynOps or nJ of a layer."""
    synops = float(row["synops"])
    if unit == "synops":
        return synops
    return synops * operation_nj(multiplies=row["operand"] != "spikes")


def _shown(cost: float, unit: str) -> str:
    return f"{cost:,.4g} nJ" if unit == "energy" else f"{cost:,.0f}"


def _target(config: RunConfig) -> dict[str, Any]:
    """Return what was asked for; `within` only where there is a second budget."""
    target = {"sparsity": config.sparsity, "budget": config.budget_unit}
    return target | ({"within": config.within} if config.within else {})
