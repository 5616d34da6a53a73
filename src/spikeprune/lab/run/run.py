"""`spikeprune run`: dense, prune and regrow, fine-tune, cut, evaluate, report.

Each stage asks for its own output first, so the same command goes on where a run was stopped.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from spikeprune.cutting.cut_plan import plan_for
from spikeprune.distributed.collectives import agree, by_main, main_first, require_same, world_size
from spikeprune.errors import BusyError, RunError
from spikeprune.files import write_json
from spikeprune.lab.report.report import write_report
from spikeprune.lab.run.check import check
from spikeprune.lab.run.compute import compile_notice
from spikeprune.lab.run.dense_net import _dense, _held, _shared
from spikeprune.lab.run.preflight import preflight
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.results.measure import latencies_of, measure, saved_dense
from spikeprune.lab.run.results.metrics_json import Pruned, assemble
from spikeprune.lab.run.results.save_net import save_net
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.prune import prune_channels, prune_weights
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.science.masks import Mask

_SHARED_WITHIN = 60  # seconds
_SAME_COMMAND = (
    "start every process with the same command, and where machines differ leave nothing to auto "
    "(--precision fp32)"
)


def run(config: RunConfig, *, display: Display | None = None) -> Path:
    """Run, or go on with, all stages of `config` and return the path of the report.

    Args:
        config: what to run; `sparsity` must be set unless the method is `dense`.
        display: is told of progress; None shows nothing.

    Raises:
        SpikePruneError: the run cannot start (nothing is written then) or go on.
    """
    display = display or Silent()
    agree(lambda: check(config))  # before a rank writes what another one might stumble over
    require_same("the options", json.dumps(config.to_dict(), sort_keys=True), _SAME_COMMAND)
    session, folder = Session(config), RunFolder(config.folder)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if not by_main(folder.metrics.is_file):
        main_first(lambda: session.data)
        display.stage("prepare", _what(session))
        check(config, steps_per_epoch=session.steps_per_epoch)
        for message in (
            *(
                session.unfused,
                compile_notice(
                    session.config, wanted=session.wants_compiling, compiled=session.compiled
                ),
            ),
            *(session.slow_precision, session.static_obstacle),
        ):
            if message:
                display.message(message)
        preflight(session)
        by_main(lambda: _claim(session, folder))
        agree(lambda: _see(folder))
        with _held(folder.config, lambda: _refuse_second(folder)):
            if not by_main(folder.metrics.is_file):  # another process may just have finished it
                dense = _dense(session, folder, display)
                if resolve(config).prunes:
                    _prune_and_measure(session, folder, dense, display)
                else:
                    by_main(lambda: _finish_dense(session, folder, dense))
    display.stage("report")
    return by_main(lambda: write_report(folder.path))


def _what(session: Session) -> str:
    config, processes = session.config, world_size()
    together = f", {processes} processes" if processes > 1 else ""
    return f"{session.data.info.label}, {config.model}, T {config.time_steps}{together}"


def _see(folder: RunFolder) -> None:
    """Refuse a machine that does not see what rank 0 has written: it could not go on from there."""
    for _ in range(_SHARED_WITHIN):  # network file systems remember for a while what was missing
        if folder.config.is_file():
            return
        time.sleep(1)
    raise RunError(
        f"expected every process to see {folder.config}, which rank 0 has written; give an --out "
        "on a file system that all machines share"
    )


def _claim(session: Session, folder: RunFolder) -> None:
    """Write the configuration: from now on the folder belongs to this run.

    Raises:
        RunError: it cannot be written there.
    """
    shared = _shared(session, folder)
    try:
        for path in (folder.config, shared.config):
            session.config.save(path, replace=False)  # it is the lock, too: never exchanged
    except OSError as error:
        raise RunError(
            f"expected to write to {folder.path} and {shared.path.parent}, got: {error}; give a "
            "folder that can be written as --out"
        ) from error


def _refuse_second(folder: RunFolder) -> None:
    raise BusyError(f"another process is at work on the run in {folder.path}; let it finish")


def _prune_and_measure(
    session: Session, folder: RunFolder, dense: dict[str, Any], display: Display
) -> None:
    tracker = Tracker(
        folder.history, folder.tensorboard, display, steps_per_epoch=session.steps_per_epoch
    )
    try:
        prune = prune_weights if session.config.granularity == "weight" else prune_channels
        pruned = prune(session, folder, tracker, display)
    finally:
        tracker.close()
    display.stage("evaluate", "pruned")
    by_main(lambda: _measure(session, folder, dense, pruned))


def _measure(session: Session, folder: RunFolder, dense: dict[str, Any], pruned: Pruned) -> None:
    net, mask = pruned.cut.model, pruned.full_mask
    measured = measure(session, net, pruned=mask, cut=pruned.cut.mask).to_dict()
    # Measured anew and in turns: times of different hours do not compare.
    times = latencies_of(session, dense=saved_dense(session, folder), pruned=net)
    before = dense["metrics"] | {"latency_ms": times.dense}
    measured["latency_ms"] = times.pruned
    save_net(folder, net, session, plan=pruned.cut.plan, mask=mask)
    metrics = assemble(session, dense | {"metrics": before}, measured, pruned)
    metrics["event_driven"] = times.event_driven
    metrics["notes"] += times.notes
    write_json(folder.metrics, metrics)


def _finish_dense(session: Session, folder: RunFolder, dense: dict[str, Any]) -> None:
    """A run of the method `dense`: the net before is the net after, everything lives."""
    model = saved_dense(session, folder)
    weights = {f"{name}.weight" for name in session.weight_counts}
    live = {
        n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters() if n in weights
    }
    save_net(folder, model, session, plan=plan_for((), {}), mask=Mask(live))
    if folder.dense.history.is_file():
        shutil.copyfile(folder.dense.history, folder.history)
    write_json(folder.metrics, assemble(session, dense, dense["metrics"], None))
