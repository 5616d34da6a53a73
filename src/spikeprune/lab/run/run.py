"""`spikeprune run`: dense, prune and regrow, fine-tune, cut, evaluate, report.

Each stage first looks for its own output, so the same command continues a run that was stopped.
"""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from spikeprune.distributed.collectives import agree, by_main, main_first, require_same, world_size
from spikeprune.errors import BusyError, RunError
from spikeprune.files import copy_file
from spikeprune.lab.report.report import write_report
from spikeprune.lab.run.check import check
from spikeprune.lab.run.claim import begin, claim, refuse_stale_result, stands_in
from spikeprune.lab.run.dense_net import dense_metrics, held_by_main, shared_folder
from spikeprune.lab.run.locks import Claim
from spikeprune.lab.run.preflight import preflight, try_saved_dense
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.results.measure import latencies_of, measure, saved_dense
from spikeprune.lab.run.results.metrics_json import Pruned, assemble
from spikeprune.lab.run.results.records import DenseMetrics
from spikeprune.lab.run.results.save_net import save_net
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.prune import prune
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import faults, in_words
from spikeprune.science.masks import Mask
from spikeprune.wiring.cut_plan import plan_for

_SHARED_WITHIN = 60  # seconds
_SAME_COMMAND = (
    "start every process with the same command, and where machines differ leave nothing to auto "
    "(--precision fp32)"
)


def run(config: RunConfig, *, display: Display | None = None) -> Path:
    """Run, or continue, all stages of `config` and return the path of the report."""
    display = display or Silent()
    agree(lambda: check(config))  # before any rank writes files that another one would refuse
    require_same("the options", json.dumps(config.to_dict(), sort_keys=True), _SAME_COMMAND)
    session, folder = Session(config), RunFolder(config.folder)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if by_main(lambda: _finished(session, folder, display)):
        by_main(lambda: refuse_stale_result(session, folder, display))
    else:
        _prepare(session, folder, display)
        with held_by_main(folder.config, busy=lambda: _refuse_second(folder)) as hold:
            # Another process may just have finished it.
            if not by_main(lambda: _finished(session, folder, Silent())):
                by_main(lambda: begin(session, folder, display))
                _stages(session, folder, display, hold)
    display.stage("report")
    return by_main(lambda: write_report(folder.path))


def _finished(session: Session, folder: RunFolder, display: Display) -> bool:
    """Return whether the run is finished, and its files are as they were written.

    Raises:
        RunError: files were lost or damaged that only a new training could make again.
    """
    if not folder.metrics.is_file():
        return False
    wrong = faults(folder.path)
    if not wrong:
        return True
    stages = ("prune", "finetune") if session.config.prunes_channels else ("train",)
    needed = [folder.checkpoints / f"{name}.safetensors" for name in stages]
    if session.method.prunes and not all(path.is_file() for path in needed):
        raise RunError(
            f"{folder.path}: {in_words(wrong)}, and the checkpoints to make that again from are "
            "gone; put the files back, or give another --out to train again"
        )
    display.message(f"repair     {in_words(wrong)}: made again from the checkpoints")
    return False


def _prepare(session: Session, folder: RunFolder, display: Display) -> None:
    """Read the data, refuse what cannot work, and only then claim the folder for this run."""
    main_first(lambda: session.data)
    config = session.config
    what = f"{session.data.info.label}, {config.model}, T {config.time_steps}"
    if world_size() > 1:
        what += f", {world_size()} processes"
    display.stage("prepare", what)
    check(config, steps_per_epoch=session.steps_per_epoch)
    by_main(lambda: stands_in(session, folder))  # refused before the net is tried
    for message in session.notices():
        display.message(message)
    preflight(session)
    try_saved_dense(session, (folder.dense, shared_folder(session, folder)))
    by_main(lambda: claim(session, folder))
    if world_size() > 1:
        agree(lambda: _require_shared(folder))


def _require_shared(folder: RunFolder) -> None:
    """Refuse a machine that does not see the files of rank 0: it could not continue from them."""
    for _ in range(_SHARED_WITHIN):  # network file systems remember a missing file for a while
        if folder.config.is_file():
            return
        time.sleep(1)
    raise RunError(
        f"expected every process to see {folder.config}, which rank 0 has written; give an --out "
        "on a file system that all machines share"
    )


def _refuse_second(folder: RunFolder) -> None:
    raise BusyError(f"another process is at work on the run in {folder.path}; let it finish")


def _stages(session: Session, folder: RunFolder, display: Display, hold: Claim | None) -> None:
    """Train the dense net and prune, measure and write the net of the run."""
    dense = dense_metrics(session, folder, display)
    for sign in dense["metrics"].get("warnings", ()):
        display.message(f"WARNING    the dense net: {sign}")
    if not session.method.prunes:
        by_main(lambda: _finish_dense(session, folder, dense, hold))
        return
    steps = session.steps_per_epoch
    tracker = Tracker(
        folder.history, folder.tensorboard, display, steps_per_epoch=steps, claim=hold
    )
    with closing(tracker):
        pruned = prune(session, folder, tracker, display)
    display.stage("evaluate", "pruned")
    by_main(lambda: _finish(session, folder, dense, pruned, hold))


def _finish(
    session: Session,
    folder: RunFolder,
    dense: DenseMetrics,
    pruned: Pruned,
    hold: Claim | None,
) -> None:
    """Measure and write the pruned net."""
    net, mask = pruned.cut.model, pruned.full_mask
    measured = measure(session, net, pruned=mask, cut=pruned.cut.mask).to_dict()
    # Both nets are timed in turns: latencies that were measured hours apart do not compare.
    times = latencies_of(session, dense=saved_dense(session, folder), pruned=net)
    measured["latency_ms"] = times.pruned
    dense["metrics"]["latency_ms"] = times.dense
    if hold is not None:
        hold.require()
    save_net(folder, net, session, plan=pruned.cut.plan, mask=mask)
    metrics = assemble(session, dense, measured, pruned)
    metrics["event_driven"] = times.event_driven
    metrics["notes"] += times.notes
    _finish_claimed(folder, metrics, hold)


def _finish_dense(
    session: Session, folder: RunFolder, dense: DenseMetrics, hold: Claim | None
) -> None:
    """Write the dense net as the result of the method `dense`, with all weights live."""
    model = saved_dense(session, folder)
    weights = {f"{name}.weight" for name in session.weight_counts}
    live = {
        n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters() if n in weights
    }
    if hold is not None:
        hold.require()
    save_net(folder, model, session, plan=plan_for((), {}), mask=Mask(live))
    if folder.dense.history.is_file():
        copy_file(folder.dense.history, folder.history)
    _finish_claimed(folder, assemble(session, dense, dense["metrics"], None), hold)


def _finish_claimed(folder: RunFolder, metrics: dict[str, Any], hold: Claim | None) -> None:
    """Write the metrics, which say that the files before them are whole: all in one folder."""
    if hold is not None:
        hold.require()
    folder.finish(metrics)
