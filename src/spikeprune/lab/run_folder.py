"""The names of the files of a run. No other module names them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spikeprune.errors import RunError
from spikeprune.files import as_json, write_text
from spikeprune.inference.saved_net import MASKS, MODEL, PLAN
from spikeprune.manifest import CONFIG, write_manifest

DENSE_NETS = ".dense"
"""Folder beside runs with the dense nets that they share."""


@dataclass(frozen=True)
class _Files:
    """A folder whose files have fixed names."""

    path: Path


class _Named:
    """An attribute of `_Files`: the path of the file or folder called `name` in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, files: _Files, owner: type) -> Path:
        return files.path / self._name


class DenseFolder(_Files):
    """Files of a dense net, shared by every run with the same dense configuration."""

    config = _Named(CONFIG)  # all options of the run
    identity = _Named("identity.json")  # what the run is made of: code, weights, data
    metrics = _Named("metrics.json")  # all measurements
    model = _Named(MODEL)  # tensors of the finished net
    checkpoints = _Named("checkpoints")  # folder of the states from which a stopped run goes on
    history = _Named("history.jsonl")  # a line per epoch and per event

    def finish(self, metrics: Any) -> None:
        """Write the checksums of all files of the finished net, and last the metrics."""
        self.write_last(metrics, (self.model, self.history, self.identity))

    def write_last(self, metrics: Any, files: Iterable[Path]) -> None:
        """Write the checksums of files that exist and of the metrics, then the metrics.

        The metrics come last, because they mark the folder as finished.
        """
        text = as_json(metrics)
        names = [path.relative_to(self.path).as_posix() for path in files if path.exists()]
        write_manifest(self.path, names, {self.metrics.name: text.encode()})
        write_text(self.metrics, text)


class RunFolder(DenseFolder):
    """Files of one run: those of a dense net and more."""

    plan = _Named(PLAN)  # what was cut; with `model` it rebuilds the smaller net
    masks = _Named(MASKS)  # masks of the live weights, bits packed
    tensorboard = _Named("tensorboard")  # folder of TensorBoard events
    report = _Named("report.html")

    def finish(self, metrics: Any) -> None:
        """Write the checksums of all files of the finished run, and last the metrics."""
        own = (self.config, self.identity, self.plan, self.masks, self.model, self.history)
        dense = self.dense
        of_dense = (dense.model, dense.history, dense.metrics, dense.identity)
        self.write_last(metrics, (*own, *of_dense))

    @property
    def dense(self) -> DenseFolder:
        """The dense net of this run."""
        return DenseFolder(self.path / "dense")

    @classmethod
    def existing(cls, path: Path | str) -> Self:
        """Return the folder of a run that was started; a RunError if there is none."""
        folder = cls(Path(path).expanduser())
        if not folder.config.is_file():
            raise RunError(
                f"expected the folder of a run, but {folder.path} has no {folder.config.name}; "
                "give the --out of a `spikeprune run`"
            )
        return folder


def dense_folder(run: RunFolder, key: str) -> DenseFolder:
    """Return the shared folder of the dense net with this `dense_key`, beside `run`."""
    return DenseFolder(run.path.absolute().parent / DENSE_NETS / key)


class ComparisonFolder(_Files):
    """Files of a comparison of several runs."""

    config = _Named("compare.yaml")  # the compared options; none if the runs lie elsewhere
    lock = _Named(".lock")  # an empty file that is held while `config` is read and replaced
    cells = _Named("cells")  # folder of the run folders and their shared dense nets
    rows = _Named("cells.json")  # all measurements of every finished cell
    pairs = _Named("pairs.csv")  # the paired differences
    figures = _Named("figures")  # folder of the printable figures, SVG and PDF
    page = _Named("compare.html")  # the page with all results

    def log(self, name: str) -> Path:
        """Output of the run called `name`, and why it failed."""
        return self.path / "logs" / f"{name}.log"

    def table(self, kind: str) -> Path:
        """The table, as `md`, `csv` or `tex`."""
        return self.path / f"table.{kind}"
