"""Measure the nets of a run, at its end and by `spikeprune evaluate FOLDER`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.distributed.collectives import by_main
from spikeprune.inference.event_driven import CHOICES, event_driven, event_report, numba_installed
from spikeprune.inference.saved_net import load, load_masks, read_plan
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import require_whole
from spikeprune.measuring.evaluate import evaluate, latencies
from spikeprune.measuring.metrics import Metrics
from spikeprune.science.masks import Mask
from spikeprune.training.weights_file import load_weights
from spikeprune.user_code import named_code, refuse_code
from spikeprune.wiring.cut_plan import cut_mask

_SYNOPS_SAMPLES = 2000  # training samples on which the SynOps of a dense net are counted
_WORTHWHILE = 0.5  # share of zeros from which an event-driven net is measured
_WITHOUT_NUMBA = (
    "the latency of the event-driven net was not measured, for numba is not installed: "
    "pip install 'spikeprune[eventdriven]', then `spikeprune evaluate` with this folder"
)


def measure(
    session: Session,
    model: nn.Module,
    *,
    pruned: Mask | None,
    cut: Mask | None,
    latency: bool = False,
) -> Metrics:
    """Measure a net on the test set, and its accuracy and SynOps on the validation set.

    `pruned` are masks of the full net, `cut` the same in the shapes of the cut `model`; None for
    the dense net. The density is that of the layers whose weights they name; for channels that of
    all layers, because the cut shrinks them all.
    """
    counts = session.weight_counts
    weights = {f"{name}.weight" for name in counts}
    if pruned is not None and not session.config.prunes_channels:
        counts = {n: count for n, count in counts.items() if f"{n}.weight" in pruned}
    run = partial(
        evaluate,
        model,
        time_steps=session.config.time_steps,
        wiring=session.wiring,
        classes=len(session.data.info.classes),
        layout=session.config.layout,
        prunable=counts,
        mask=None if cut is None else {n: m for n, m in cut.items() if n in weights},
        input_operands=session.config.input_operands,
    )
    validation = session.data.validation
    metrics = run(session.moved(session.data.test), latency=latency)
    if not validation.samples:
        return metrics
    held_out = run(session.moved(validation), latency=False)
    return replace(
        metrics,
        validation_accuracy=held_out.test_accuracy,
        validation_synops_per_sample=held_out.synops_per_sample,
    )


def dense_synops(session: Session, folder: RunFolder) -> dict[str, float] | None:
    """Return the SynOps of a run's dense net by layer; None if nothing is a share of them."""
    config = session.config
    if not (config.has_budget_of_operations or config.synops_penalty):
        return None

    def count() -> dict[str, float]:
        metrics = evaluate(
            saved_dense(session, folder),
            # Of the training set, without augmentation: the choice of live weights depends on them.
            _first_samples(session.moved(session.data.score), _SYNOPS_SAMPLES),
            time_steps=config.time_steps,
            wiring=session.wiring,
            classes=len(session.data.info.classes),
            layout=config.layout,
            latency=False,
        )
        return {row.name: row.synops for row in metrics.layers}

    return dict(by_main(count))


def _first_samples(
    batches: Iterable[tuple[Tensor, Tensor]], samples: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches until they have at least `samples` samples."""
    seen = 0
    for x, y in batches:
        yield x, y
        seen += len(y)
        if seen >= samples:
            return


@dataclass(frozen=True)
class Latencies:
    """Latencies `{"b1", "b32"}` of a run's nets in ms, measured in turns so that they compare."""

    dense: dict[str, float]
    pruned: dict[str, float]
    event_driven: dict[str, Any] | None  # of the pruned net; None if it was not measured
    notes: list[str]  # why it was not measured, if only a package is missing


def latencies_of(session: Session, *, dense: nn.Module, pruned: nn.Module) -> Latencies:
    """Measure both nets; the pruned one also event-driven if many of its weights are 0."""
    time_steps, layout = session.config.time_steps, session.config.layout
    x, ready = session.test_inputs, {}
    worthwhile = session.device.type == "cpu" and _share_of_zeros(pruned) >= _WORTHWHILE
    if worthwhile and numba_installed():
        net = event_driven(pruned.eval(), x, time_steps=time_steps, layout=layout)
        ready["event-driven"] = net
    times = latencies(
        {"dense": dense.eval(), "pruned": pruned.eval()},
        x,
        ready=ready,
        time_steps=time_steps,
        layout=layout,
    )
    sparse, notes = None, [_WITHOUT_NUMBA] if worthwhile and not ready else []
    if ready:
        choices = Counter(row.choice for row in event_report(ready["event-driven"]).values())
        sparse = {
            "latency_ms": times["event-driven"],
            "latency_threads": torch.get_num_threads(),
            "layers": {choice: choices[choice] for choice in CHOICES},
        }
    return Latencies(times["dense"], times["pruned"], event_driven=sparse, notes=notes)


def _share_of_zeros(net: nn.Module) -> float:
    """Return the share of the weights of convolutions and linear layers that are 0."""
    weights = [p for p in net.parameters() if p.ndim > 1]
    return 1 - sum(int(p.count_nonzero()) for p in weights) / sum(p.numel() for p in weights)


def saved_dense(session: Session, folder: RunFolder) -> nn.Module:
    """Return the dense net of a run from its file."""
    model = session.built()
    load_weights(model, folder.dense.model)
    return model


def evaluate_folder(
    folder: Path, *, data_root: str | None = None, device: str = "cpu", trust_code: bool = False
) -> dict[str, Any]:
    """Measure the saved nets of a finished run again; `data_root` if its data have moved.

    Raises:
        RunError: no finished run; or its files name code, and `trust_code` is not set.
    """
    files = RunFolder.existing(folder)
    require_whole(files.path)
    config = RunConfig.load(files.config)
    plan = read_plan(files.path)
    if not trust_code:
        models = [config.model, plan["model"]["name"]]
        refuse_code(named_code({"model": models, "data": config.data}), files.path)
    session = Session(replace(config, data_root=data_root or config.data_root, device=device))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    net, masks = session.placed(load(files.path, user_code=True).net), load_masks(files.path)
    full = saved_dense(session, files)
    cut = cut_mask(full, masks, dict(plan["cut"]))
    dense = measure(session, full, pruned=None, cut=None).to_dict()
    pruned = measure(session, net, pruned=masks, cut=cut).to_dict()
    times = latencies_of(session, dense=full, pruned=net)
    return {
        "folder": str(files.path),
        "data": session.data.info.label,
        "dense": dense | {"latency_ms": times.dense},
        "pruned": pruned | {"latency_ms": times.pruned},
        "event_driven": times.event_driven,
        "notes": times.notes,
    }
