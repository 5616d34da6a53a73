"""The pruning stage of a run: train, prune and regrow, cut, and fine-tune."""

import json

from spikeprune.cutting.compact import cut
from spikeprune.distributed.collectives import agree, require_same
from spikeprune.lab.run.progress.display import Display
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.results.measure import dense_synops, saved_dense
from spikeprune.lab.run.results.metrics_json import Pruned
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.objective import Objective
from spikeprune.lab.run.stages.phases import Phase, phases
from spikeprune.lab.run.stages.train import TrainStage
from spikeprune.lab.run_folder import RunFolder


def prune(session: Session, folder: RunFolder, tracker: Tracker, display: Display) -> Pruned:
    """Train, prune and cut the net of a run; fine-tune it before the cut (weights) or after."""
    channels, config = session.config.prunes_channels, session.config
    model = session.built(weights=True)
    optimizer = session.optimizer(model)
    synops = dense_synops(session, folder)
    pruner = session.pruner(
        model, optimizer, dense_synops=synops if config.has_budget_of_operations else None
    )
    objective = Objective(
        session,
        teacher=agree(lambda: saved_dense(session, folder)) if config.has_teacher else None,
        rate_penalty=config.rate_penalty,
        synops_penalty=config.synops_penalty,
        dense_synops=synops,
    )
    cost = TrainStage(
        session=session,
        model=model,
        phases=phases(session, folder, pruner),
        optimizer=optimizer,
        pruner=pruner,
        tracker=tracker,
        checkpoint=folder.checkpoints / f"{'prune' if channels else 'train'}.safetensors",
        objective=objective,
        curves=config.curves,
    ).run()
    display.stage("cut")
    full_mask = pruner.mask
    smaller = agree(lambda: cut(pruner, session.test_inputs))
    require_same("what was cut", json.dumps(smaller.plan), "please report this")
    if channels:
        session.placed(smaller.model)
        finetuning = TrainStage(
            session=session,
            model=smaller.model,
            phases=[Phase("finetune", config.epochs.finetune)],
            optimizer=session.optimizer(smaller.model),
            tracker=tracker,
            checkpoint=folder.checkpoints / "finetune.safetensors",
            macs_share=session.macs_density(pruner),
            density=pruner.density,
            first_epoch=config.epochs.prune,
            objective=objective,
            curves=config.curves,
        )
        cost = cost.plus(finetuning.run())
    return Pruned(smaller, pruner, full_mask, cost)
