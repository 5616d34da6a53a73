"""Try a run on one batch before it trains."""

import math
from collections.abc import Iterable
from contextlib import nullcontext

from torch import Tensor, nn

from spikeprune import limits
from spikeprune.errors import (
    ConfigError,
    DataError,
    ModelError,
    RunError,
    SpikePruneError,
    one_line,
)
from spikeprune.execution.forward import LAYOUTS
from spikeprune.execution.sound_weights import require_sound
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.batch_shares import check_shares, slices
from spikeprune.lab.run.stages.objective import Objective, stand_in_teacher
from spikeprune.lab.run_folder import DenseFolder
from spikeprune.manifest import faults
from spikeprune.measuring.evaluate import evaluate
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.observer import Observer
from spikeprune.training.weights_file import load_weights

_LARGEST = 4096  # pixels a side


def preflight(session: Session) -> None:
    """Refuse, before any training, all that would fail later when the net is built and pruned."""
    check_shares(session.data)
    refuse_endless(session.built(place=False))
    require_sound(session.built(weights=True))
    try_pruning(session)
    try_training(session)


def try_saved_dense(session: Session, folders: Iterable[DenseFolder]) -> None:
    """Refuse a dense net that was trained before, in one of `folders`, and is no longer whole."""
    for folder in folders:
        if not folder.metrics.is_file() or faults(folder.path):  # then it is made again
            continue
        try:
            load_weights(session.built(), folder.model)
        except ModelError as error:
            raise RunError(
                f"the dense net that this run would go on from cannot be used: {error}. Remove the "
                f"folder {folder.path} to train it again"
            ) from error


def refuse_endless(model: nn.Module) -> None:
    """Refuse a convolution or pool larger than any image: libraries hang or crash in its backward.

    It finds modules; a function such as `F.conv2d` has no numbers to look at.
    """
    for name, module in model.named_modules():
        for kind in ("kernel_size", "stride", "padding", "dilation"):
            number = getattr(module, kind, 0)
            sides = number if isinstance(number, tuple) else (number,)
            if any(isinstance(side, int) and side > _LARGEST for side in sides):
                raise ModelError(
                    f"layer {name} has {kind} {number}, more than the {_LARGEST} pixels of the "
                    "largest image; build it with a smaller one"
                )


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
    if session.device.type == "cpu":
        limits.require_memory(
            _kept_for_backward(session) * len(y),
            "the layers' outputs in one training step",
            error=ConfigError,
            way_out="use a smaller --batch_size, --time_steps, --image_size or net",
        )
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


def _kept_for_backward(session: Session) -> int:
    """Return the bytes of the layers' outputs for a sample, at the 2 bytes of bf16."""
    layers, steps = session.wiring.layers.values(), session.config.time_steps
    return 2 * sum(
        layer.output_shape.numel() * (steps if layer.sources else 1)  # the first may run once
        for layer in layers
    )


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
    objective = Objective(session, teacher=stand_in_teacher(session))
    with observer or nullcontext(), objective.of(model) as loss_of:
        loss = loss_of(session.forward(model.train())(x), y, x)
    if observer is not None:
        observer.compute()
    loss.backward()  # type: ignore[no-untyped-call]
    if not math.isfinite(loss.item()):
        raise ModelError(f"the untrained net has a loss of {loss.item()}; check weights and data")
