"""What a finished run wrote down, read back for the report: plain data, no model code."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeprune.errors import RunError
from spikeprune.files import read_json, read_rows
from spikeprune.lab.run_folder import RunFolder

SCHEMA = 1
"""The newest layout of `metrics.json` that the report understands."""

Row = dict[str, Any]

_REQUIRED = ("method", "granularity", "data", "model", "dense", "pruned")


@dataclass(frozen=True)
class RunRecord:
    """One run as its folder tells it; fields that a run did not write are empty.

    Attributes:
        metrics: Content of `metrics.json` (schema `SCHEMA`).
        epochs: Lines of `history.jsonl` of kind `epoch`, in order; the dense net's come from its
            own folder where the run's history has none.
        events: Pruning events in order, from the metrics, else from the history.
        config: Text of `config.yaml`, empty when there is none.
        dense: Measurements of the dense net.
        pruned: Measurements of the pruned net.
    """

    metrics: Row
    epochs: tuple[Row, ...] = ()
    events: tuple[Row, ...] = ()
    config: str = ""
    dense: Row = field(default_factory=dict)
    pruned: Row = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What is pruned: `weights` or `channels`."""
        return "channels" if str(self.metrics["granularity"]).startswith("channel") else "weights"

    def layers(self, which: str) -> dict[str, Row]:
        """Return the per-layer rows of the `dense` or the `pruned` net by name, in net order."""
        rows = (self.dense if which == "dense" else self.pruned).get("layers") or []
        return {str(row["name"]): row for row in rows}

    def stage(self, *names: str) -> tuple[Row, ...]:
        """Return the epochs of the named stages in the order in which they were run."""
        return tuple(row for row in self.epochs if row.get("stage") in names)


def read_record(folder: Path) -> RunRecord:
    """Read `metrics.json`, `history.jsonl` and `config.yaml` of a run folder.

    Args:
        folder: A run folder; only its metrics must be there.

    Raises:
        RunError: No metrics, broken files, or metrics of a newer schema than `SCHEMA`.
    """
    files = RunFolder(folder)
    metrics = _metrics(files)
    rows = read_rows(files.history)
    if not any(row.get("stage") == "dense" for row in rows):
        rows = [{**row, "stage": "dense"} for row in read_rows(files.dense.history)] + rows
    events = tuple(row for row in rows if row.get("kind") == "event")
    return RunRecord(
        metrics=metrics,
        epochs=tuple(row for row in rows if row.get("kind") == "epoch"),
        events=tuple((metrics.get("regrowth") or {}).get("events") or events),
        config=files.config.read_text(encoding="utf-8") if files.config.is_file() else "",
        dense=metrics["dense"] or {},
        pruned=metrics["pruned"] or {},
    )


def _metrics(files: RunFolder) -> Row:
    path = files.metrics
    if not path.is_file():
        raise RunError(
            f"expected a finished run, but {path} does not exist; "
            f"finish the run first: `spikeprune run --out {files.path}` with its options goes on"
        )
    metrics = read_json(path)
    schema = metrics.get("schema") if isinstance(metrics, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise RunError(
            f"expected the metrics of a spikeprune run, but {path} has no schema number; "
            "give the folder of a run"
        )
    if schema > SCHEMA:
        raise RunError(
            f"{path} has schema {schema}, this spikeprune reads up to {SCHEMA}; "
            "update with: pip install --upgrade spikeprune"
        )
    missing = [key for key in _REQUIRED if key not in metrics]
    if missing:
        raise RunError(
            f"{path} lacks {', '.join(missing)}; expected the metrics of a finished "
            "`spikeprune run`, so finish or repeat that run"
        )
    return dict(metrics)
