"""The phases of weight pruning: pruning and fine-tuning, or rounds that rewind."""

from spikeprune.distributed.collectives import by_main
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phase import Phase
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.rewind import rewind
from spikeprune.training.checkpoint import load_tensors, save_tensors


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
