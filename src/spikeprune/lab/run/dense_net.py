"""The dense net of a run: its key, and its training, which runs with equal keys share."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spikeprune.distributed.collectives import by_main, world_size
from spikeprune.files import copy_file, read_json, read_rows, sweep
from spikeprune.lab.run.identity.identity import conditions, dense_name
from spikeprune.lab.run.identity.standing import Record, went_on
from spikeprune.lab.run.locks import Claim, held
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.progress.tracker import Tracker, mirror, optional
from spikeprune.lab.run.results.measure import measure
from spikeprune.lab.run.results.records import DenseMetrics
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.train import TrainStage
from spikeprune.lab.run_folder import DenseFolder, RunFolder, dense_folder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import faults, in_words
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
    if config.input_operands != "by-value":  # its measurements differ
        relevant["input_operands"] = config.input_operands
    if compiled:  # rounds gradients differently
        relevant["compiled"] = True
    if config.start == "checkpoint" and config.weights:
        content = Path(config.weights).expanduser().read_bytes()
        relevant["weights"] = hashlib.sha256(content).hexdigest()
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def held_by_main(path: Path, busy: Callable[[], None]) -> Iterator[Claim | None]:
    """Hold a file on rank 0 while active; the other ranks wait for rank 0 to hold it.

    Yield rank 0 its claim. Drafts that killed writers left beside the file are removed.
    """
    claims: list[Claim] = []

    def claim() -> None:
        claims.append(stack.enter_context(held(path, busy)))
        for folder in (path.parent, path.parent / "dense", path.parent / "checkpoints"):
            sweep(folder)

    with ExitStack() as stack:
        by_main(claim)
        yield claims[0] if claims else None


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
    if not by_main(lambda: _whole(folder.dense, display)):
        shared = shared_folder(session, folder)
        wait = "dense      waits for another run's"
        with held_by_main(shared.config, busy=lambda: display.message(wait)) as claim:
            if by_main(lambda: _whole(shared, display)):
                display.message(f"dense      taken from {shared.path}")
            else:
                _train(session, shared, display, claim)
            by_main(lambda: _copy(session, shared, folder, display))
    found: DenseMetrics = by_main(lambda: read_json(folder.dense.metrics, DenseMetrics))
    return found


def _whole(folder: DenseFolder, display: Display) -> bool:
    """Return whether a dense net is finished, and its files are as they were written."""
    if not folder.metrics.is_file():
        return False
    wrong = faults(folder.path)
    if wrong:
        display.message(f"dense      made again: in {folder.path} {in_words(wrong)}")
    return not wrong


def _train(session: Session, shared: DenseFolder, display: Display, claim: Claim | None) -> None:
    model, epochs = session.built(weights=True), session.config.dense_epochs
    checkpoint = shared.checkpoints / "dense.safetensors"
    tracker = Tracker(
        shared.history, None, display, steps_per_epoch=session.steps_per_epoch, claim=claim
    )
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
        spent = {n: v for n, v in vars(cost).items() if n != "flops_teacher"}  # it has none
        shared.finish({"metrics": measured, "cost": {"total_epochs": epochs, **spent}})
        checkpoint.unlink(missing_ok=True)

    by_main(write)


def _record(session: Session, shared: DenseFolder) -> None:
    """Write what the dense net is made of, and under which conditions it is trained."""
    new = Record(session.identity, shared.path.name, [conditions()])
    went_on(Record.read(shared), new).write(shared)


def _copy(session: Session, shared: DenseFolder, folder: RunFolder, display: Display) -> None:
    """Copy the dense net into the run's folder; the metrics come last and mark it as complete."""
    copy_file(shared.model, folder.dense.model)
    if shared.history.is_file():  # there is none for a checkpoint that is not trained further
        copy_file(shared.history, folder.dense.history)
    if shared.identity.is_file():
        copy_file(shared.identity, folder.dense.identity)
    rows, board = read_rows(shared.history), folder.tensorboard / "dense"
    with optional(display):
        mirror(rows, board, steps_per_epoch=session.steps_per_epoch)
    folder.dense.finish(read_json(shared.metrics, DenseMetrics))
