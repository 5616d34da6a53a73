"""The phases of weight pruning: pruning and fine-tuning, or rounds that rewind."""

from collections.abc import Callable
from dataclasses import dataclass

from spikeprune.distributed.collectives import by_main
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.rewind import rewind
from spikeprune.training.checkpoint import load_tensors, save_tensors


@dataclass(frozen=True)
class Phase:
    """A named stretch of epochs.

    Attributes:
        name: for the history.
        epochs: how many.
        skipped: None where all phases share one learning-rate schedule; else this phase has one of
            its own, which begins that many epochs in.
        begin: called once before the first of the epochs.
        keep: called before the epoch of that number (from 0), also again where a run goes on there.
    """

    name: str
    epochs: int
    skipped: int | None = None
    begin: Callable[[], None] | None = None
    keep: tuple[int, Callable[[], None]] | None = None

    def progress(self, epoch: float, total: int, *, before: int) -> float:
        """Return how far the learning-rate schedule is, in [0, 1).

        Args:
            epoch: epochs of the stage that are over.
            total: epochs of the stage.
            before: epochs of the stage before this phase.
        """
        if self.skipped is None:
            return epoch / total
        return (self.skipped + epoch - before) / (self.skipped + self.epochs)

    def prepare(self, epoch: int) -> None:
        """Call what is due before epoch `epoch` (from 0) of this phase."""
        if epoch == 0 and self.begin is not None:
            self.begin()
        if self.keep is not None and self.keep[0] == epoch:
            self.keep[1]()


def phases(session: Session, folder: RunFolder, pruner: Pruner) -> list[Phase]:
    """Return pruning and fine-tuning; with rewinding, the rounds and the last training."""
    config, epochs = session.config, session.config.epochs
    if not resolve(config).rewinds:
        return [Phase("prune", epochs.prune), Phase("finetune", epochs.finetune)]
    rounds, early = rounds_of(config), folder.checkpoints / "rewind.safetensors"

    def keep() -> None:
        by_main(lambda: save_tensors(early, pruner.model.state_dict()))

    def back() -> None:
        rewind(pruner, load_tensors(early))

    first, *later, last = rounds.epochs
    return [
        Phase("prune", first, skipped=0, keep=(rounds.rewind, keep)),
        *(Phase("prune", count, skipped=rounds.rewind, begin=back) for count in later),
        Phase("finetune", last, skipped=rounds.rewind, begin=back),
    ]
