"""Where a run keeps its files: the only module that names them. Writes are atomic."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spikeprune.errors import RunError


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file whole or not at all: a crash leaves the old content.

    Without `replace` a file that is there stays, the very file: another process may hold it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if not replace:
            with suppress(OSError):  # it is there, or this file system has no links
                os.link(draft, path)
        if replace or not path.exists():
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: non-finite numbers become null, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinity become null, which JSON has not."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"expected the file {path}, which does not exist") from error
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}); remove it and run again") from error


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line to a file, behind its last whole line: what a crash tore is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(_plain(row), allow_nan=False) + "\n"
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines; a last line without its end was never written.

    Raises:
        RunError: A line in the middle is not JSON.
    """
    if not path.is_file():
        return []
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"line {number} of {path} is not valid JSON ({error})") from error
    return rows


def keep_rows(path: Path, count: int) -> None:
    """Keep the first `count` rows: a run that goes on from a checkpoint repeats the others."""
    if path.is_file():
        rows = read_rows(path)[:count]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


class _Files:
    """Names that dense and pruned runs share."""

    path: Path

    @property
    def config(self) -> Path:
        """All options of the run, or of the dense net, YAML."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """What was measured, JSON."""
        return self.path / "metrics.json"

    @property
    def model(self) -> Path:
        """Tensors of the finished net, safetensors."""
        return self.path / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Folder of the state from which an interrupted run goes on."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """A line per epoch and per event, JSON lines (`append_row`, `read_rows`, `keep_rows`)."""
        return self.path / "history.jsonl"


@dataclass(frozen=True)
class DenseFolder(_Files):
    """Files of a dense net, shared by every run with the same dense configuration."""

    path: Path


@dataclass(frozen=True)
class RunFolder(_Files):
    """Files of one run."""

    path: Path

    @property
    def plan(self) -> Path:
        """What was cut: with `model` it rebuilds the smaller net, JSON."""
        return self.path / "plan.json"

    @property
    def masks(self) -> Path:
        """Which weights live, bits packed, safetensors."""
        return self.path / "masks.safetensors"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.path / "report.html"

    @property
    def dense(self) -> DenseFolder:
        """The dense net of this run."""
        return DenseFolder(self.path / "dense")

    @classmethod
    def existing(cls, path: Path | str) -> Self:
        """Return the folder of a run that was started.

        Raises:
            RunError: There is no run at `path`.
        """
        folder = cls(Path(path).expanduser())
        if not folder.config.is_file():
            raise RunError(
                f"expected the folder of a run, but {folder.path} has no {folder.config.name}; "
                "give the --out of a `spikeprune run`"
            )
        return folder


DENSE_NETS = ".dense"
"""Name of the folder beside runs that holds the dense nets they share."""


def dense_folder(run: RunFolder, key: str) -> DenseFolder:
    """Return where runs beside `run` keep the dense net with this `dense_key`."""
    return DenseFolder(run.path.absolute().parent / DENSE_NETS / key)


@dataclass(frozen=True)
class ComparisonFolder:
    """Files of a comparison of several runs."""

    path: Path

    @property
    def config(self) -> Path:
        """What is compared, YAML; a comparison of runs that lie elsewhere has none."""
        return self.path / "compare.yaml"

    @property
    def lock(self) -> Path:
        """Held while `config` is read and replaced; empty."""
        return self.path / ".lock"

    @property
    def cells(self) -> Path:
        """Folder of the run folders, and of the dense nets that they share."""
        return self.path / "cells"

    def log(self, name: str) -> Path:
        """What the run called `name` printed, and why it failed."""
        return self.path / "logs" / f"{name}.log"

    @property
    def rows(self) -> Path:
        """Every finished cell with all that was measured, JSON."""
        return self.path / "cells.json"

    def table(self, kind: str) -> Path:
        """The table as `md`, `csv` or `tex`."""
        return self.path / f"table.{kind}"

    @property
    def pairs(self) -> Path:
        """The paired differences, CSV."""
        return self.path / "pairs.csv"

    @property
    def figures(self) -> Path:
        """Folder of the figures for print, SVG and PDF."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """All of it on one page, HTML."""
        return self.path / "compare.html"
