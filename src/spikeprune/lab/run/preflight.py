"""Try a run on one batch before it trains."""

import math
from collections.abc import Iterable
from contextlib import nullcontext

from torch import Tensor, nn

from spikeprune.errors import DataError, ModelError, RunError, SpikePruneError, one_line
from spikeprune.execution.forward import LAYOUTS
from spikeprune.execution.sound_weights import require_sound
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.batch_shares import check_shares, slices
from spikeprune.lab.run_folder import DenseFolder
from spikeprune.measuring.evaluate import evaluate
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.observer import Observer
from spikeprune.training.weights_file import load_weights


def preflight(session: Session) -> None:
    """Refuse, before any training, all that would fail later when the net is built and pruned."""
    check_shares(session.data)
    require_sound(session.built(weights=True))
    try_pruning(session)
    try_training(session)


def try_saved_dense(session: Session, folders: Iterable[DenseFolder]) -> None:
    """Refuse a dense net that was trained before, in one of `folders`, and is no longer whole."""
    for folder in folders:
        if not folder.metrics.is_file():
            continue
        try:
            load_weights(session.built(), folder.model)
        except ModelError as error:
            raise RunError(
                f"the dense net that this run would go on from cannot be used: {error}. Remove the "
                f"folder {folder.path} to train it again"
            ) from error


def try_pruning(session: Session) -> None:
    """Refuse a net that the method cannot prune."""
    model = session.built(weights=True)
    if session.method.prunes:
        with session.pruner(model, session.optimizer(model)) as pruner:
            pruner.begin(session.moved(session.data.train, model), session.loss)


def try_training(session: Session) -> None:
    """Refuse a net and data that do not fit, by one training step on a net that is thrown away."""
    model = session.built(weights=True)
    x, y = next(iter(session.moved(slices(session.data.train), model)))
    try:
        _evaluate_and_train(session, model, x, y)
    except SpikePruneError:
        raise
    except Exception as error:  # anything that the user's code raises
        raise ModelError(
            f"model {session.config.model!r} fails on a batch {list(x.shape)} in layout "
            f"{session.config.layout!r}: {one_line(error)}. Check --layout "
            f"({', '.join(LAYOUTS)}) and what the model is built for"
        ) from error


def _evaluate_and_train(session: Session, model: nn.Module, x: Tensor, y: Tensor) -> None:
    if not bool(x.isfinite().all()):  # spikes hide it
        raise DataError("the first training batch holds values that are not finite")
    evaluate(
        model,
        [(x, y)],
        time_steps=session.config.time_steps,
        wiring=session.wiring,
        classes=len(session.data.info.classes),
        layout=session.config.layout,
        latency=False,
    )
    # This curve fits every neuron; the observer refuses a neuron that does not run for T steps.
    named, steps = CriticalityOptions(curve="atan"), session.config.time_steps
    observer = None
    if session.wiring.neurons:
        observer = Observer(model, named, time_steps=steps, train=True, wiring=session.wiring)
    with observer or nullcontext():
        loss = session.loss(session.forward(model.train())(x), y)
    if observer is not None:
        observer.compute()
    loss.backward()  # type: ignore[no-untyped-call]
    if not math.isfinite(loss.item()):
        raise ModelError(f"the untrained net has a loss of {loss.item()}; check weights and data")
