"""The phases of training a net that is pruned: with fine-tuning, or in rounds that rewind."""

from collections.abc import Callable
from dataclasses import dataclass

from spikeprune.distributed.collectives import by_main
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.rewind import rewind
from spikeprune.training.checkpoint import load_tensors, save_tensors


@dataclass(frozen=True)
class Phase:
    """A named stretch of epochs.

    Phases share one learning-rate schedule, unless `skipped` is set: then this phase has its own,
    without that many first epochs. `begin` is called once before the first epoch; `keep` is an
    epoch (from 0) and a function that is called before it, again if a run goes on from there.
    """

    name: str
    epochs: int
    skipped: int | None = None
    begin: Callable[[], None] | None = None
    keep: tuple[int, Callable[[], None]] | None = None

    def progress(self, epoch: float, total: int, *, before: int) -> float:
        """Return the progress of the learning-rate schedule, in [0, 1), after `epoch` epochs.

        These and `total` are epochs of the stage, of which `before` come before this phase.
        """
        if self.skipped is None:
            return epoch / total
        return (self.skipped + epoch - before) / (self.skipped + self.epochs)

    def prepare(self, epoch: int) -> None:
        """Call the functions that are due before epoch `epoch` (from 0) of this phase."""
        if epoch == 0 and self.begin is not None:
            self.begin()
        if self.keep is not None and self.keep[0] == epoch:
            self.keep[1]()


def phases(session: Session, folder: RunFolder, pruner: Pruner) -> list[Phase]:
    """Return the phases before the cut; channels are fine-tuned after it."""
    config, epochs = session.config, session.config.epochs
    if config.prunes_channels:
        return [Phase("prune", epochs.prune)]
    if not session.method.rewinds:
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
