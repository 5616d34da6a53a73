"""`spikeprune analyze RUN [RUN]`: measures of finished runs beyond those of their reports."""

from collections.abc import Callable
from pathlib import Path

import torch

from spikeprune._version import __version__
from spikeprune.errors import ConfigError, ModelError
from spikeprune.files import write_json, write_text
from spikeprune.lab.analysis.compare_pair import compare_pair
from spikeprune.lab.analysis.file_measures import class_rows, regrowth, synops_rows
from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.net_measures import entropy, features, nets_of, sampled, session_of
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.lab.analysis.output.page import render_analysis

SAMPLES = 10_000
"""Default number of samples of each part of the data that the nets are run on."""

_SCHEMA = 1


def analyze(
    folders: list[Path],
    *,
    out: Path | None = None,
    data_root: str | None = None,
    device: str = "cpu",
    samples: int | None = SAMPLES,
    files_only: bool = False,
    trust_code: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Findings, Path]:
    """Analyse one finished run, or two and their differences; write `analysis.json` and a page.

    The results go to `out`, else to the run's own folder, or for two runs to `analysis_<A>_<B>`
    beside the first. The nets are run on at most `samples` samples of each part of the data (None:
    all), which lie at `data_root` (None: where they were during the runs). With `files_only` there
    are no data, no entropy and no features. Code that the files name for net or data is imported
    with `trust_code` only. `say` receives messages of progress.

    Returns:
        The content of `analysis.json`, and the path of `analysis.html`.

    Raises:
        ConfigError: Not one or two folders, or no samples.
        RunError: A folder without a finished run, or one that names code and is not trusted.
        DataError: The data are not found.
    """
    if not 1 <= len(folders) <= 2:
        raise ConfigError(f"expected one or two run folders, got {len(folders)}")
    if samples is not None and samples < 1:
        raise ConfigError(f"expected samples of at least 1, got {samples}")
    runs = [OpenedRun.at(folder, trust_code=trust_code) for folder in folders]
    rows = [_from_files(run) for run in runs]
    if not files_only:
        for run in runs:
            run.require_trust(data=True)
        for run, row in zip(runs, rows, strict=True):
            row.update(_from_nets(run, data_root, device, samples=samples, say=say))
    found: Findings = {
        "schema": _SCHEMA,
        "spikeprune": __version__,
        "runs": rows,
        "pair": compare_pair(runs[0], runs[1]) if len(runs) == 2 else None,
    }
    first, last = runs[0].files.path, runs[-1].files.path
    beside = first.absolute().parent / f"analysis_{first.name}_{last.name}"
    target = out or (first if len(runs) == 1 else beside)
    write_json(target / "analysis.json", found)
    page = target / "analysis.html"
    write_text(page, render_analysis(found))
    return found, page


def _from_files(run: OpenedRun) -> Findings:
    metrics, dense, pruned = run.record.metrics, run.record.dense, run.record.pruned
    parts = ("curve", "value", "space", "time")
    accuracy = {"dense": dense.get("test_accuracy"), "pruned": pruned.get("test_accuracy")}
    return {
        "folder": str(run.files.path),
        "data": metrics["data"].get("label"),
        "model": metrics["model"]["name"],
        "method": metrics["method"],
        "granularity": metrics["granularity"],
        "sparsity": run.config.sparsity if run.prunes else None,
        "time_steps": metrics["time_steps"],
        "seed": metrics["seed"],
        "criticality": {part: getattr(run.config.criticality, part) for part in parts},
        "test_accuracy": accuracy,
        "regrowth": regrowth(run.record),
        "classes": class_rows(
            metrics["data"]["classes"], dense["per_class_accuracy"], pruned["per_class_accuracy"]
        ),
        "synops": synops_rows(run.record.layers("dense"), run.record.layers("pruned")),
        "refused": [],
    }


def _from_nets(
    run: OpenedRun,
    data_root: str | None,
    device: str,
    *,
    samples: int | None,
    say: Callable[[str], None],
) -> Findings:
    session = session_of(run, data_root=data_root, device=device)
    if run.config.threads is not None:
        torch.set_num_threads(run.config.threads)
    batches = sampled(session, session.data.score, samples)
    found: Findings = {"nets": {}, "refused": []}
    for name, net in nets_of(run, session, batches):
        say(f"{run.files.path.name}: {name} net")
        found["nets"][name] = {"entropy": entropy(net, session, batches)}
        try:
            found["nets"][name]["features"] = features(net, run, session, samples=samples)
        except ModelError as error:
            quantity = f"features of the {name} net"
            found["refused"].append({"quantity": quantity, "reason": str(error)})
    return found
