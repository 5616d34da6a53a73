"""The names of the files of a run. No other module names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spikeprune.errors import RunError
from spikeprune.inference.saved_net import MASKS, MODEL, PLAN


@dataclass(frozen=True)
class DenseFolder:
    """Files of a dense net, shared by every run with the same dense configuration."""

    path: Path

    @property
    def config(self) -> Path:
        """All options of the run, YAML."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """All measurements, JSON."""
        return self.path / "metrics.json"

    @property
    def model(self) -> Path:
        """Tensors of the finished net, safetensors."""
        return self.path / MODEL

    @property
    def checkpoints(self) -> Path:
        """Folder of the states from which an interrupted run goes on."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """A line per epoch and per event, JSON lines (`append_row`, `read_rows`, `keep_rows`)."""
        return self.path / "history.jsonl"


@dataclass(frozen=True)
class RunFolder(DenseFolder):
    """Files of one run: those of a dense net and more."""

    @property
    def plan(self) -> Path:
        """What was cut, JSON; with `model` it rebuilds the smaller net."""
        return self.path / PLAN

    @property
    def masks(self) -> Path:
        """Masks of the live weights, bits packed, safetensors."""
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
            RunError: there is no run at `path`.
        """
        folder = cls(Path(path).expanduser())
        if not folder.config.is_file():
            raise RunError(
                f"expected the folder of a run, but {folder.path} has no {folder.config.name}; "
                "give the --out of a `spikeprune run`"
            )
        return folder


DENSE_NETS = ".dense"
"""Folder beside runs with the dense nets that they share."""


def dense_folder(run: RunFolder, key: str) -> DenseFolder:
    """Return the shared folder of the dense net with this `dense_key`, beside `run`."""
    return DenseFolder(run.path.absolute().parent / DENSE_NETS / key)


@dataclass(frozen=True)
class ComparisonFolder:
    """Files of a comparison of several runs."""

    path: Path

    @property
    def config(self) -> Path:
        """The compared options, YAML; a comparison of runs in other folders has none."""
        return self.path / "compare.yaml"

    @property
    def lock(self) -> Path:
        """An empty file that is held while `config` is read and replaced."""
        return self.path / ".lock"

    @property
    def cells(self) -> Path:
        """Folder of the run folders and their shared dense nets."""
        return self.path / "cells"

    def log(self, name: str) -> Path:
        """Output of the run called `name`, and why it failed."""
        return self.path / "logs" / f"{name}.log"

    @property
    def rows(self) -> Path:
        """All measurements of every finished cell, JSON."""
        return self.path / "cells.json"

    def table(self, kind: str) -> Path:
        """The table, as `md`, `csv` or `tex`."""
        return self.path / f"table.{kind}"

    @property
    def pairs(self) -> Path:
        """The paired differences, CSV."""
        return self.path / "pairs.csv"

    @property
    def figures(self) -> Path:
        """Folder of the printable figures, SVG and PDF."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """The page with all results, HTML."""
        return self.path / "compare.html"
