"""Which runs share a dense net: those with the same key."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from spikeprune.distributed.collectives import by_main, world_size
from spikeprune.files import read_json, read_rows, write_json
from spikeprune.lab.run.locks import held
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.progress.tracker import Tracker, mirror
from spikeprune.lab.run.results.measure import measure
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.train import fit
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.lab.run_folder import DenseFolder, RunFolder, dense_folder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import save_tensors

_DENSE_FIELDS = (
    *("data", "limit", "validation", "augment", "image_size", "binning", "batch_size"),
    *("model", "model_args", "time_steps", "neuron", "reset", "preset", "layout"),
    *("optimizer", "loss", "seed", "fuse", "precision", "static_first_layer"),
)


def dense_key(config: RunConfig, *, compiled: bool = False, processes: int = 1) -> str:
    """Return the key of the dense net: 16 hexadecimal digits of what that net depends on.

    Methods, granularities and targets that share data, net, training and total epochs share it
    (method, section 5). A checkpoint enters with its content. Code behind `module:callable` and
    the content of a data folder do not enter.

    Args:
        config: of a run.
        compiled: whether its neurons are compiled, which rounds gradients differently.
        processes: how many train together.
    """
    plain = config.to_dict()
    relevant = {name: plain[name] for name in _DENSE_FIELDS}
    relevant["epochs"] = config.dense_epochs
    if processes > 1:  # each process normalises its own slice of a batch
        relevant["processes"] = processes
    if config.data_root is not None:  # two copies of one name may differ in size or quality
        relevant["data_root"] = str(Path(config.data_root).expanduser().absolute())
    if compiled:
        relevant["compiled"] = True
    if config.start == "checkpoint" and config.weights:
        content = Path(config.weights).expanduser().read_bytes()
        relevant["weights"] = hashlib.sha256(content).hexdigest()
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _held(path: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a file by rank 0 while active; the other ranks wait until it does."""
    with ExitStack() as stack:

        def hold() -> None:
            stack.enter_context(held(path, busy))

        by_main(hold)
        yield


def _shared(session: Session, folder: RunFolder) -> DenseFolder:
    """Return where the dense net is trained, for all runs beside this one that need the same."""
    key = dense_key(session.config, compiled=session.compiled, processes=world_size())
    return dense_folder(folder, key)


def _dense(session: Session, folder: RunFolder, display: Display) -> dict[str, Any]:
    """Return the measurements of the dense net; train it if no run beside this one has."""
    if not by_main(folder.dense.metrics.is_file):
        shared = _shared(session, folder)
        with _held(shared.config, lambda: display.message("dense      waits for another run's")):
            if not by_main(shared.metrics.is_file):
                _train_dense(session, shared, display)
            else:
                display.message(f"dense      taken from {shared.path}")
        by_main(lambda: _copy_dense(session, shared, folder))
    dense: dict[str, Any] = by_main(lambda: read_json(folder.dense.metrics))
    return dense


def _copy_dense(session: Session, shared: DenseFolder, folder: RunFolder) -> None:
    folder.dense.path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared.model, folder.dense.model)
    if shared.history.is_file():  # a checkpoint that is not trained further has none
        shutil.copyfile(shared.history, folder.dense.history)
    board, steps = folder.tensorboard / "dense", session.steps_per_epoch
    mirror(read_rows(shared.history), board, steps_per_epoch=steps)
    # Last and whole: it says that the others are there.
    write_json(folder.dense.metrics, read_json(shared.metrics))


def _train_dense(session: Session, shared: DenseFolder, display: Display) -> None:
    model = session.model()
    checkpoint = shared.checkpoints / "dense.safetensors"
    spent = fit(
        session,
        model,
        [Phase("dense", session.config.dense_epochs)],
        optimizer=session.optimizer(model),
        pruner=None,
        tracker=Tracker(shared.history, None, display, steps_per_epoch=session.steps_per_epoch),
        checkpoint=checkpoint,
    )
    display.stage("evaluate", "dense")
    by_main(lambda: _finish_shared(session, shared, model, spent))
    by_main(lambda: checkpoint.unlink(missing_ok=True))


def _finish_shared(
    session: Session, shared: DenseFolder, model: nn.Module, spent: TrainingCost
) -> None:
    metrics = measure(session, model, pruned=None, cut=None, latency=True)
    save_tensors(shared.model, model.state_dict())
    cost = {"total_epochs": session.config.dense_epochs, **vars(spent)}
    write_json(shared.metrics, {"metrics": metrics.to_dict(), "cost": cost})
