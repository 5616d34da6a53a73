"""Measure the nets of a run: at its end, and again by `spikeprune evaluate FOLDER`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.cutting.cut_plan import cut_mask
from spikeprune.distributed.collectives import by_main
from spikeprune.files import read_json
from spikeprune.inference.event_driven import CHOICES, event_driven, event_report, numba_installed
from spikeprune.inference.saved_net import load, load_masks
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.measuring.evaluate import evaluate, latencies
from spikeprune.measuring.metrics import Metrics
from spikeprune.science.masks import Mask
from spikeprune.training.checkpoint import load_model_weights
from spikeprune.training.loop import accuracy

_COUNTED = 2000  # training samples that stand for all when a dense net's SynOps are counted
_WORTHWHILE = 0.5  # share of zeros from which an event-driven net is tried
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
    """Measure a net on the test set, and its accuracy on the validation set.

    Args:
        session: the run.
        model: dense, or cut.
        pruned: masks of the full net, by parameter name; None for the dense net. The density is
            that of the layers whose weights they name.
        cut: the same masks after the cut, as `model` has them.
        latency: whether to measure latency, too.
    """
    validation, held_out = None, session.data.validation
    if held_out.samples:
        validation = accuracy(model, session.moved(held_out), forward=session.forward(model))
    counts = session.weight_counts
    weights = {f"{name}.weight" for name in counts}
    metrics = evaluate(
        model,
        session.moved(session.data.test),
        time_steps=session.config.time_steps,
        wiring=session.wiring,
        classes=len(session.data.info.classes),
        layout=session.config.layout,
        prunable=counts if pruned is None else _prunable(session, pruned),
        mask=None if cut is None else {n: m for n, m in cut.items() if n in weights},
        latency=latency,
    )
    return replace(metrics, validation_accuracy=validation)


def _prunable(session: Session, pruned: Mask) -> dict[str, int]:
    """Return the weights of the original net by layer, of the layers that the density is about.

    Cutting channels takes weights from every layer, so there it is about all of them.
    """
    channels = session.config.granularity == "channel"
    return {n: c for n, c in session.weight_counts.items() if channels or f"{n}.weight" in pruned}


def dense_synops(session: Session, folder: RunFolder) -> dict[str, float] | None:
    """Return the SynOps of a run's dense net by layer, of which its budget is a share.

    Counted on training samples without augmentation, since the choice of what lives depends on
    them. None where the budget is of another kind.
    """
    config = session.config
    channels = config.granularity == "channel"
    if (config.channels.budget if channels else config.budget) != "synops":
        return None
    found = by_main(lambda: _synops(session, saved_dense(session, folder)))
    return dict(found)


def _synops(session: Session, dense: nn.Module) -> dict[str, float]:
    metrics = evaluate(
        dense,
        _first(session.moved(session.data.score), _COUNTED),
        time_steps=session.config.time_steps,
        wiring=session.wiring,
        classes=len(session.data.info.classes),
        layout=session.config.layout,
        latency=False,
    )
    return {row.name: row.synops for row in metrics.layers}


def _first(
    batches: Iterable[tuple[Tensor, Tensor]], samples: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches until there are so many samples."""
    seen = 0
    for x, y in batches:
        yield x, y
        seen += len(y)
        if seen >= samples:
            return


@dataclass(frozen=True)
class Latencies:
    """Latency of the nets of a run, measured in turns: so they compare.

    Attributes:
        dense: of the dense net, `{"b1", "b32"}` in ms.
        pruned: of the pruned net.
        event_driven: what `metrics.json` has under this key; None where it was not measured.
        notes: why not, if a package is all that is missing.
    """

    dense: dict[str, float]
    pruned: dict[str, float]
    event_driven: dict[str, Any] | None
    notes: tuple[str, ...]


def latencies_of(session: Session, *, dense: nn.Module, pruned: nn.Module) -> Latencies:
    """Measure both nets, and the pruned one event-driven where many of its weights are 0."""
    how: dict[str, Any] = {
        "time_steps": session.config.time_steps,
        "layout": session.config.layout,
    }
    nets = {"dense": dense.eval(), "pruned": pruned.eval()}
    worthwhile = session.device.type == "cpu" and _zeros(pruned) >= _WORTHWHILE
    ready = {}
    if worthwhile and numba_installed():
        ready["event-driven"] = event_driven(pruned, session.test_inputs, **how)
    times = latencies(nets, session.test_inputs, ready=ready, **how)
    return Latencies(
        dense=times["dense"],
        pruned=times["pruned"],
        event_driven=_event_driven(ready["event-driven"], times["event-driven"]) if ready else None,
        notes=(_WITHOUT_NUMBA,) if worthwhile and not ready else (),
    )


def _zeros(net: nn.Module) -> float:
    """Return the share of the weights of convolutions and linear layers that are 0."""
    weights = [p for p in net.parameters() if p.ndim > 1]
    return 1 - sum(int(p.count_nonzero()) for p in weights) / sum(p.numel() for p in weights)


def _event_driven(net: nn.Module, times: dict[str, float]) -> dict[str, Any]:
    choices = Counter(row.choice for row in event_report(net).values())
    return {
        "latency_ms": times,
        "latency_threads": torch.get_num_threads(),
        "layers": {choice: choices[choice] for choice in CHOICES},
    }


def saved_dense(session: Session, folder: RunFolder) -> nn.Module:
    """Return the dense net of a run from its file."""
    model = session.fresh()
    load_model_weights(model, folder.dense.model)
    return model


def evaluate_folder(
    folder: Path, *, data_root: str | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Return the measurements of the dense and the pruned net, taken anew from the saved files.

    Args:
        folder: of a finished run.
        data_root: where the data lie now; None: where the run found them.
        device: where to compute.

    Raises:
        RunError: the run is not finished.
        ModelError: its files do not fit together.
    """
    files = RunFolder.existing(folder)
    config = RunConfig.load(files.config)
    session = Session(replace(config, data_root=data_root or config.data_root, device=device))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    net, masks = session.placed(load(files.path, user_code=True).net), load_masks(files.path)
    full = saved_dense(session, files)
    cut = cut_mask(full, masks, read_json(files.plan)["cut"])
    dense = measure(session, full, pruned=None, cut=None).to_dict()
    pruned = measure(session, net, pruned=masks, cut=cut).to_dict()
    times = latencies_of(session, dense=full, pruned=net)
    return {
        "folder": str(files.path),
        "data": session.data.info.label,
        "dense": dense | {"latency_ms": times.dense},
        "pruned": pruned | {"latency_ms": times.pruned},
        "event_driven": times.event_driven,
        "notes": list(times.notes),
    }
