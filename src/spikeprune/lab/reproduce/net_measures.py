"""Measurements on the nets of finished runs, each made once and kept in a JSON file."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from spikeprune.files import read_json, write_json
from spikeprune.lab.analysis.compare_pair import compare_pair
from spikeprune.lab.analysis.net_measures import entropy, features, nets_of, sampled, session_of
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.reproduce.experiment import ExperimentInputs
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder

Measurements = dict[str, Any]  # plain values, as `lab.analysis` returns them


def features_of(inputs: ExperimentInputs, cell: Cell) -> Measurements:
    """Return the features by class of a run's pruned net (`analysis.net_measures.features`)."""

    def measure() -> Measurements:
        run, session = _open(inputs, cell)
        return dict(features(session.placed(run.net), run, session, samples=inputs.scale.samples))

    return _once(inputs, "features", (cell,), measure)


def entropy_of(inputs: ExperimentInputs, cell: Cell) -> Measurements:
    """Return entropy against criticality of the untrained, dense and pruned net of a run."""

    def measure() -> Measurements:
        run, session = _open(inputs, cell)
        batches = sampled(session, session.data.score, inputs.scale.samples)
        nets = nets_of(run, session, batches)
        return {name: entropy(net, session, batches) for name, net in nets}

    return _once(inputs, "entropy", (cell,), measure)


def importance_of(inputs: ExperimentInputs, a: Cell, b: Cell) -> Measurements:
    """Return the importance of the channels that only one of two runs kept, or a refusal."""

    def measure() -> Measurements:
        found = compare_pair(OpenedRun.at(a.folder), OpenedRun.at(b.folder))
        if "importance" in found:
            return dict(found["importance"])
        reasons = (row["reason"] for row in found["refused"] if "importance" in row["quantity"])
        return {"refused": "; ".join(reasons)}

    return _once(inputs, "importance", (a, b), measure)


def _open(inputs: ExperimentInputs, cell: Cell) -> tuple[OpenedRun, Session]:
    run = OpenedRun.at(cell.folder)
    device = inputs.device or run.config.device
    return run, session_of(run, data_root=inputs.data_root, device=device)


def _once(
    inputs: ExperimentInputs, kind: str, cells: Sequence[Cell], measure: Callable[[], Measurements]
) -> Measurements:
    """Return the kept measurement of these runs and this many samples; else measure and keep it."""
    results = b"".join(RunFolder(cell.folder).metrics.read_bytes() for cell in cells)
    key = f"{inputs.scale.samples} samples, {hashlib.sha256(results).hexdigest()}"
    path = inputs.measured / f"{'+'.join(cell.folder.name for cell in cells)}.{kind}.json"
    if path.is_file():
        kept = read_json(path)
        if kept["key"] == key:
            return dict(kept["found"])
    with torch.random.fork_rng([]):
        found = measure()
    write_json(path, {"key": key, "found": found})
    return found
