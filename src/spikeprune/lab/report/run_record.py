"""The record of a finished run, read from its folder for reports and tables: no model code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from spikeprune.errors import RunError
from spikeprune.files import checked, read_json, read_rows, read_text
from spikeprune.lab.report.run_rows import (
    EpochRow,
    EventRow,
    HistoryRow,
    LayerMetrics,
    NetMetrics,
    RunMetrics,
)
from spikeprune.lab.run_folder import RunFolder
from spikeprune.manifest import NAME, require_whole

SCHEMA = 1
"""The newest layout of `metrics.json` that the report understands."""

Row = dict[str, Any]

_FORMS: dict[str, Any] = {"epoch": EpochRow, "event": EventRow}
_REQUIRED = ("method", "granularity", "data", "model", "dense", "pruned")


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder records it; what the run did not write is empty."""

    metrics: RunMetrics
    epochs: tuple[EpochRow, ...] = ()  # the dense net's too, if need be from its own folder
    events: tuple[EventRow, ...] = ()  # from the metrics, else from the history
    config: str = ""  # text of config.yaml

    @property
    def dense(self) -> NetMetrics:
        """Measurements of the dense net."""
        return self.metrics.get("dense") or {}

    @property
    def pruned(self) -> NetMetrics:
        """Measurements of the pruned net."""
        return self.metrics.get("pruned") or {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Signs that a net of the run is dead, the pruned net's first; empty without any."""
        nets = {"pruned": self.pruned, "dense": self.dense}
        if self.metrics["method"] == "dense":
            del nets["pruned"]
        found = ((name, sign) for name, net in nets.items() for sign in net.get("warnings") or ())
        return tuple(f"the {name} net: {sign}" for name, sign in found)

    @property
    def unit(self) -> str:
        """What is pruned: `weights` or `channels`."""
        return "channels" if str(self.metrics["granularity"]).startswith("channel") else "weights"

    def layers(self, net: Literal["dense", "pruned"]) -> dict[str, LayerMetrics]:
        """Return the measurements of a net's layers by name, in net order."""
        rows = (self.dense if net == "dense" else self.pruned).get("layers") or []
        return {str(row["name"]): row for row in rows}

    def stage(self, *names: str) -> tuple[EpochRow, ...]:
        """Return the epochs of the named stages in the order in which they were run."""
        return tuple(row for row in self.epochs if row.get("stage") in names)


def read_record(folder: Path) -> RunRecord:
    """Read `metrics.json` of a run folder, and `history.jsonl` and `config.yaml` if they exist.

    Raises:
        RunError: No metrics, files that are damaged or not as they were written, or metrics of a
            newer schema than `SCHEMA`.
    """
    files = RunFolder(folder)
    metrics = _read_metrics(files.metrics)
    if "checksums" in metrics and not (files.path / NAME).is_file():
        raise RunError(
            f"{files.path / NAME}, with the checksums of the run's files, is missing; put it back, "
            "or remove metrics.json and run again"
        )
    read = (files.config, files.metrics, files.history, files.dense.history)
    require_whole(files.path, *(path.relative_to(files.path).as_posix() for path in read))
    rows = _history(files.history)
    if not any(row.get("stage") == "dense" for row in rows):
        dense = _history(files.dense.history)
        rows = [cast(HistoryRow, {**row, "stage": "dense"}) for row in dense] + rows
    events = [cast(EventRow, row) for row in rows if row["kind"] == "event"]
    return RunRecord(
        metrics=metrics,
        epochs=tuple(cast(EpochRow, row) for row in rows if row["kind"] == "epoch"),
        events=tuple((metrics.get("regrowth") or {}).get("events") or events),
        config=read_text(files.config) if files.config.exists() else "",
    )


def _history(path: Path) -> list[HistoryRow]:
    rows: list[HistoryRow] = read_rows(path, HistoryRow)
    for number, row in enumerate(rows, start=1):
        form = _FORMS.get(row["kind"], HistoryRow)
        checked(row, form, f"line {number} of {path}")
    return rows


def _read_metrics(path: Path) -> RunMetrics:
    if not path.exists():
        raise RunError(
            f"expected a finished run, but {path} does not exist; "
            f"finish the run first: `spikeprune run --out {path.parent}` with its options goes on"
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
    return cast(RunMetrics, checked(metrics, RunMetrics, str(path)))
