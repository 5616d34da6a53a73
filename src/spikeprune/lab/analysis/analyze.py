"""`spikeprune analyze RUN [RUN]`: what finished runs have to say beyond their reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from spikeprune._version import __version__
from spikeprune.errors import ConfigError, ModelError
from spikeprune.files import write_json, write_text
from spikeprune.lab.analysis.compare_pair import compare
from spikeprune.lab.analysis.file_measures import class_rows, regrowth, synops_rows
from spikeprune.lab.analysis.net_measures import entropy, features, nets_of, sampled, session_of
from spikeprune.lab.analysis.opened_run import Opened
from spikeprune.lab.analysis.output.page import render_analysis
from spikeprune.lab.report.run_record import Row

SAMPLES = 10_000
"""Samples of each part of the data that nets are run on, if nothing else is asked for."""

_SCHEMA = 1


def analyze(
    folders: list[Path],
    *,
    out: Path | None = None,
    data_root: str | None = None,
    device: str = "cpu",
    samples: int | None = SAMPLES,
    files_only: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Row, Path]:
    """Analyse one finished run, or two against each other; write `analysis.json` and a page.

    Args:
        folders: one or two run folders.
        out: folder of what is written; None: the run's own, or for two a folder
            `analysis_<A>_<B>` beside the first.
        data_root: where the data lie now; None: where the runs found them.
        device: where to compute.
        samples: at most how many samples of training and test set the nets are run on; None: all.
        files_only: read the files alone: no data, no entropy, no features.
        say: is told of progress.

    Returns:
        The content of `analysis.json`, and the path of `analysis.html`.

    Raises:
        ConfigError: not one or two folders, or no sample to look at.
        RunError: a folder without a finished run.
        DataError: data that are not found.
    """
    if not 1 <= len(folders) <= 2:
        raise ConfigError(f"expected one or two run folders, got {len(folders)}")
    if samples is not None and samples < 1:
        raise ConfigError(f"expected samples of at least 1, got {samples}")
    runs = [Opened.at(folder) for folder in folders]
    found: Row = {
        "schema": _SCHEMA,
        "spikeprune": __version__,
        "runs": [
            _alone(run)
            | ({} if files_only else _measured(run, data_root, device, samples=samples, say=say))
            for run in runs
        ],
        "pair": compare(*runs) if len(runs) == 2 else None,
    }
    target = out or _home(runs)
    write_json(target / "analysis.json", found)
    page = target / "analysis.html"
    write_text(page, render_analysis(found))
    return found, page


def _home(runs: list[Opened]) -> Path:
    first = runs[0].files.path
    if len(runs) == 1:
        return first
    return first.absolute().parent / f"analysis_{first.name}_{runs[1].files.path.name}"


def _alone(run: Opened) -> Row:
    """Return what the files of one run say."""
    metrics, record = run.record.metrics, run.record
    classes = metrics["data"]["classes"]
    return {
        "folder": str(run.files.path),
        "data": metrics["data"].get("label"),
        "model": metrics["model"]["name"],
        "method": metrics["method"],
        "granularity": metrics["granularity"],
        "sparsity": run.config.sparsity if run.prunes else None,
        "time_steps": metrics["time_steps"],
        "seed": metrics["seed"],
        "criticality": {
            name: getattr(run.config.criticality, name)
            for name in ("curve", "value", "space", "time")
        },
        "test_accuracy": {
            side: values.get("test_accuracy")
            for side, values in (("dense", record.dense), ("pruned", record.pruned))
        },
        "regrowth": regrowth(record),
        "classes": class_rows(
            classes, record.dense["per_class_accuracy"], record.pruned["per_class_accuracy"]
        ),
        "synops": synops_rows(record.layers("dense"), record.layers("pruned")),
        "refused": [],
    }


def _measured(
    run: Opened,
    data_root: str | None,
    device: str,
    *,
    samples: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return what the nets of one run do on the data."""
    session = session_of(run, data_root=data_root, device=device)
    if run.config.threads is not None:
        torch.set_num_threads(run.config.threads)
    batches = sampled(session, session.data.score, samples)
    found: dict[str, Any] = {"nets": {}, "refused": []}
    for name, net in nets_of(run, session, batches):
        say(f"{run.files.path.name}: {name} net")
        found["nets"][name] = {"entropy": entropy(net, session, batches)}
        try:
            found["nets"][name]["features"] = features(net, run, session, samples=samples)
        except ModelError as error:
            refused = {"quantity": f"features of the {name} net", "reason": str(error)}
            found["refused"].append(refused)
    return found
