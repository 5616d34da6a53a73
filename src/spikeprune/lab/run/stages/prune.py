"""The pruning stage of a run: train, prune and regrow, cut, and fine-tune what is left."""

import json

from spikeprune.cutting.compact import Cut, cut
from spikeprune.distributed.collectives import agree, require_same
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.results.measure import dense_synops
from spikeprune.lab.run.results.metrics_json import Pruned
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phases import Phase, phases
from spikeprune.lab.run.stages.train import fit
from spikeprune.lab.run_folder import RunFolder
from spikeprune.pruning.pruner import Pruner


def prune_weights(
    session: Session, folder: RunFolder, tracker: Tracker, display: Display
) -> Pruned:
    """Prune while training, fine-tune, then cut what the masks left without function."""
    model = session.model()
    optimizer = session.optimizer(model)
    pruner = session.pruner(model, optimizer, dense_synops=dense_synops(session, folder))
    spent = fit(
        session,
        model,
        phases(session, folder, pruner),
        optimizer=optimizer,
        pruner=pruner,
        tracker=tracker,
        checkpoint=folder.checkpoints / "train.safetensors",
        rate_penalty=session.config.rate_penalty,
        curves=session.config.curves,
    )
    display.stage("cut")
    full_mask = pruner.mask
    return Pruned(_cut(session, pruner), pruner, full_mask, spent)


def _cut(session: Session, pruner: Pruner) -> Cut:
    """Cut on every rank, and make sure that they have cut the same."""
    result = agree(lambda: cut(pruner, session.test_inputs))
    require_same("what was cut", json.dumps(result.plan), "please report this")
    return result


def prune_channels(
    session: Session, folder: RunFolder, tracker: Tracker, display: Display
) -> Pruned:
    """Train with the penalty, prune and cut channels, then fine-tune the smaller net."""
    epochs, model = session.config.epochs, session.model()
    optimizer = session.optimizer(model)
    pruner = session.pruner(model, optimizer, dense_synops=dense_synops(session, folder))
    first = fit(
        session,
        model,
        [Phase("prune", epochs.prune)],
        optimizer=optimizer,
        pruner=pruner,
        tracker=tracker,
        checkpoint=folder.checkpoints / "prune.safetensors",
        rate_penalty=session.config.rate_penalty,
        curves=session.config.curves,
    )
    display.stage("cut")
    full_mask = pruner.mask
    smaller = _cut(session, pruner)
    session.placed(smaller.model)
    second = fit(
        session,
        smaller.model,
        [Phase("finetune", epochs.finetune)],
        optimizer=session.optimizer(smaller.model),
        pruner=None,
        tracker=tracker,
        checkpoint=folder.checkpoints / "finetune.safetensors",
        macs_share=pruner.macs_density,
        density=pruner.density,
        first_epoch=epochs.prune,
        rate_penalty=session.config.rate_penalty,
        curves=session.config.curves,
    )
    return Pruned(smaller, pruner, full_mask, first.plus(second))
