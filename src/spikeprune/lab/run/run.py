"""`spikeprune run`: dense, prune and regrow, fine-tune, cut, evaluate, report.

Each stage first looks for its own output, so the same command continues a run that was stopped.
"""

import json
import shutil
import time
from contextlib import closing
from pathlib import Path

import torch

from spikeprune.distributed.collectives import agree, by_main, main_first, require_same, world_size
from spikeprune.errors import BusyError, RunError
from spikeprune.files import write_json
from spikeprune.lab.report.report import write_report
from spikeprune.lab.run.check import check
from spikeprune.lab.run.claim import begin, claim, refuse_stale_result, stands_in
from spikeprune.lab.run.dense_net import dense_metrics, held_by_main
from spikeprune.lab.run.preflight import preflight
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
    if by_main(folder.metrics.is_file):
        by_main(lambda: refuse_stale_result(session, folder, display))
    else:
        _prepare(session, folder, display)
        with held_by_main(folder.config, busy=lambda: _refuse_second(folder)):
            if not by_main(folder.metrics.is_file):  # another process may just have finished it
                by_main(lambda: begin(session, folder, display))
                _stages(session, folder, display)
    display.stage("report")
    return by_main(lambda: write_report(folder.path))


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
    by_main(lambda: claim(session, folder))
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


def _stages(session: Session, folder: RunFolder, display: Display) -> None:
    """Train the dense net and prune, measure and write the net of the run."""
    dense = dense_metrics(session, folder, display)
    if not session.method.prunes:
        by_main(lambda: _finish_dense(session, folder, dense))
        return
    steps = session.steps_per_epoch
    tracker = Tracker(folder.history, folder.tensorboard, display, steps_per_epoch=steps)
    with closing(tracker):
        pruned = prune(session, folder, tracker, display)
    display.stage("evaluate", "pruned")
    by_main(lambda: _finish(session, folder, dense, pruned))


def _finish(session: Session, folder: RunFolder, dense: DenseMetrics, pruned: Pruned) -> None:
    """Measure and write the pruned net."""
    net, mask = pruned.cut.model, pruned.full_mask
    measured = measure(session, net, pruned=mask, cut=pruned.cut.mask).to_dict()
    # Both nets are timed in turns: latencies that were measured hours apart do not compare.
    times = latencies_of(session, dense=saved_dense(session, folder), pruned=net)
    measured["latency_ms"] = times.pruned
    dense["metrics"]["latency_ms"] = times.dense
    save_net(folder, net, session, plan=pruned.cut.plan, mask=mask)
    metrics = assemble(session, dense, measured, pruned)
    metrics["event_driven"] = times.event_driven
    metrics["notes"] += times.notes
    write_json(folder.metrics, metrics)


def _finish_dense(session: Session, folder: RunFolder, dense: DenseMetrics) -> None:
    """Write the dense net as the result of the method `dense`, with all weights live."""
    model = saved_dense(session, folder)
    weights = {f"{name}.weight" for name in session.weight_counts}
    live = {
        n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters() if n in weights
    }
    save_net(folder, model, session, plan=plan_for((), {}), mask=Mask(live))
    if folder.dense.history.is_file():
        shutil.copyfile(folder.dense.history, folder.history)
    write_json(folder.metrics, assemble(session, dense, dense["metrics"], None))
