"""The dense net of a run: its key, and its training, which runs with equal keys share."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spikeprune.distributed.collectives import by_main, world_size
from spikeprune.files import read_json, read_rows, write_json
from spikeprune.lab.run.identity.identity import conditions, dense_name
from spikeprune.lab.run.identity.standing import Record, went_on
from spikeprune.lab.run.locks import held
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.progress.tracker import Tracker, mirror
from spikeprune.lab.run.results.measure import measure
from spikeprune.lab.run.results.records import DenseMetrics
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.train import TrainStage
from spikeprune.lab.run_folder import DenseFolder, RunFolder, dense_folder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import save_tensors

_DENSE_FIELDS = (
    "data", "limit", "validation", "augment", "image_size", "binning", "batch_size",
    "model", "model_args", "time_steps", "neuron", "reset", "preset", "layout",
    "optimizer", "loss", "seed", "fuse", "precision", "static_first_layer",
)  # fmt: skip
"""The options that a dense net depends on, beside those that `dense_key` adds."""


def dense_key(config: RunConfig, *, compiled: bool = False, processes: int = 1) -> str:
    """Return what a configuration says of its dense net: 16 hexadecimal digits of a hash.

    Methods, granularities and targets with equal data, net, training and total epochs share a key
    (method, section 5). The hash has the content of a checkpoint. It reads no data and no code:
    these enter the name of the shared folder, see `shared_name`.
    """
    plain = config.to_dict()
    relevant = {name: plain[name] for name in _DENSE_FIELDS}
    relevant["epochs"] = config.dense_epochs
    if processes > 1:  # each process normalises its own slice of a batch
        relevant["processes"] = processes
    if config.data_root is not None:  # two copies of one name may differ in size or quality
        relevant["data_root"] = str(Path(config.data_root).expanduser().absolute())
    if compiled:  # rounds gradients differently
        relevant["compiled"] = True
    if config.start == "checkpoint" and config.weights:
        content = Path(config.weights).expanduser().read_bytes()
        relevant["weights"] = hashlib.sha256(content).hexdigest()
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def held_by_main(path: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a file on rank 0 while active; the other ranks wait for rank 0 to hold it."""
    with ExitStack() as stack:
        by_main(lambda: stack.enter_context(held(path, busy)))
        yield


def shared_name(session: Session) -> str:
    """Return the name of the shared folder of the dense net: its key, and code and data as now."""
    return dense_name(key_of(session), session.identity)


def key_of(session: Session) -> str:
    """Return the `dense_key` of a session."""
    return dense_key(session.config, compiled=session.compiled, processes=world_size())


def shared_folder(session: Session, folder: RunFolder) -> DenseFolder:
    """Return where the dense net is trained for all runs of one key and identity. Collective."""

    def name() -> str:
        recorded = Record.read(folder)
        return recorded.dense if recorded else shared_name(session)

    return dense_folder(folder, by_main(name))


def dense_metrics(session: Session, folder: RunFolder, display: Display) -> DenseMetrics:
    """Return the measurements of the dense net; train it if no run beside this one has."""
    if not by_main(folder.dense.metrics.is_file):
        shared = shared_folder(session, folder)
        wait = "dense      waits for another run's"
        with held_by_main(shared.config, busy=lambda: display.message(wait)):
            if by_main(shared.metrics.is_file):
                display.message(f"dense      taken from {shared.path}")
            else:
                _train(session, shared, display)
        by_main(lambda: _copy(session, shared, folder))
    found: DenseMetrics = by_main(lambda: read_json(folder.dense.metrics))
    return found


def _train(session: Session, shared: DenseFolder, display: Display) -> None:
    model, epochs = session.built(weights=True), session.config.dense_epochs
    checkpoint = shared.checkpoints / "dense.safetensors"
    tracker = Tracker(shared.history, None, display, steps_per_epoch=session.steps_per_epoch)
    by_main(lambda: _record(session, shared))
    cost = TrainStage(
        session=session,
        model=model,
        phases=[Phase("dense", epochs)],
        optimizer=session.optimizer(model),
        tracker=tracker,
        checkpoint=checkpoint,
    ).run()
    display.stage("evaluate", "dense")

    def write() -> None:
        measured = measure(session, model, pruned=None, cut=None, latency=True).to_dict()
        save_tensors(shared.model, model.state_dict())
        content = {"metrics": measured, "cost": {"total_epochs": epochs, **vars(cost)}}
        write_json(shared.metrics, content)
        checkpoint.unlink(missing_ok=True)

    by_main(write)


def _record(session: Session, shared: DenseFolder) -> None:
    """Write what the dense net is made of, and under which conditions it is trained."""
    new = Record(session.identity, shared.path.name, [conditions()])
    went_on(Record.read(shared), new).write(shared)


def _copy(session: Session, shared: DenseFolder, folder: RunFolder) -> None:
    """Copy the dense net into the run's folder; the metrics come last and mark it as complete."""
    folder.dense.path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared.model, folder.dense.model)
    if shared.history.is_file():  # there is none for a checkpoint that is not trained further
        shutil.copyfile(shared.history, folder.dense.history)
    if shared.identity.is_file():
        shutil.copyfile(shared.identity, folder.dense.identity)
    rows, board = read_rows(shared.history), folder.tensorboard / "dense"
    mirror(rows, board, steps_per_epoch=session.steps_per_epoch)
    write_json(folder.dense.metrics, read_json(shared.metrics))
