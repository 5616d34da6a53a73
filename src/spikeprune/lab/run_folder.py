"""Where a run keeps its files: the only module that names them. Writes are atomic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spikeprune.errors import RunError
from spikeprune.inference.saved_net import MASKS, MODEL, PLAN


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
        return self.path / MODEL

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
        return self.path / PLAN

    @property
    def masks(self) -> Path:
        """Which weights live, bits packed, safetensors."""
        return self.path / MASKS

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
