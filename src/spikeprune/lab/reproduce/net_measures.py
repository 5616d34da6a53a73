"""What is measured on the nets of finished runs, and kept beside them: it is asked for once."""

import hashlib
from collections.abc import Callable, Sequence

import torch

from spikeprune.files import read_json, write_json
from spikeprune.lab.analysis.compare_pair import compare_pair
from spikeprune.lab.analysis.net_measures import entropy, features, nets_of, sampled, session_of
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.report.run_record import Row
from spikeprune.lab.reproduce.experiment import Study
from spikeprune.lab.run_folder import RunFolder


def features_of(study: Study, cell: Cell) -> Row:
    """Return the features by class of a run's pruned net, see `analysis.nets.features`."""

    def measure() -> Row:
        run = OpenedRun.at(cell.folder)
        session = session_of(
            run, data_root=study.data_root, device=study.device or run.config.device
        )
        net = session.placed(run.net)
        return dict(features(net, run, session, samples=study.scale.samples))

    return _once(study, "features", (cell,), measure)


def entropy_of(study: Study, cell: Cell) -> Row:
    """Return entropy against criticality of the untrained, dense and pruned net of a run."""

    def measure() -> Row:
        run = OpenedRun.at(cell.folder)
        session = session_of(
            run, data_root=study.data_root, device=study.device or run.config.device
        )
        batches = sampled(session, session.data.score, study.scale.samples)
        return {
            name: entropy(net, session, batches) for name, net in nets_of(run, session, batches)
        }

    return _once(study, "entropy", (cell,), measure)


def importance_of(study: Study, a: Cell, b: Cell) -> Row:
    """Return the importance of the channels that only one of two runs kept (`analysis.pair`).

    Raises:
        ModelError: two nets that cannot be compared.
    """
    return _once(
        study,
        "importance",
        (a, b),
        lambda: _importance(OpenedRun.at(a.folder), OpenedRun.at(b.folder)),
    )


def _importance(a: OpenedRun, b: OpenedRun) -> Row:
    found = compare_pair(a, b)
    if "importance" in found:
        return dict(found["importance"])
    reasons = (row["reason"] for row in found["refused"] if "importance" in row["quantity"])
    return {"refused": "; ".join(reasons)}


def _once(study: Study, kind: str, cells: Sequence[Cell], measure: Callable[[], Row]) -> Row:
    """Return what was measured before on these very runs and samples, else measure and keep it."""
    results = b"".join(RunFolder(cell.folder).metrics.read_bytes() for cell in cells)
    key = f"{study.scale.samples} samples, {hashlib.sha256(results).hexdigest()}"
    path = study.measured / f"{'+'.join(cell.folder.name for cell in cells)}.{kind}.json"
    if path.is_file():
        kept = read_json(path)
        if kept["key"] == key:
            return dict(kept["found"])
    with torch.random.fork_rng([]):
        found = measure()
    write_json(path, {"key": key, "found": found})
    return found
