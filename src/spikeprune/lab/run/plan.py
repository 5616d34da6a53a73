"""`spikeprune plan`: what a run would prune and cost, before any training."""

import math
import statistics
import time
from typing import Any

import torch

from spikeprune.lab.run.check import check
from spikeprune.lab.run.preflight import preflight
from spikeprune.lab.run.results.metrics_json import peak_rss_bytes
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import epochs_of
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.pruning.pruner import Pruner

_TIMED_STEPS = 5


def plan(config: RunConfig) -> dict[str, Any]:
    """Return what `config` would do: layers, parameters, MACs, events, memory and time.

    Time per epoch is extrapolated from a few timed training steps (median), after one to warm up;
    validation is not in it. Nothing is written and no model is kept.

    Raises:
        SpikePruneError: whatever the run itself would refuse before training.
    """
    session = Session(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    check(config, steps_per_epoch=session.steps_per_epoch, folder=False)
    preflight(session)
    wiring, prunes = session.wiring, resolve(config).prunes
    weights = session.weight_counts
    step = _seconds_per_step(session)
    trained = epochs_of(config)[1] if prunes else 0
    epochs = config.dense_epochs + trained
    per_epoch = step * session.steps_per_epoch
    return {
        "data": session.data.info.label,
        "training_samples": session.data.score.samples,
        "model": session.description,
        "parameters": sum(p.numel() for p in session.model().parameters()),
        "prunable_weights": sum(weights.values()),
        "macs_per_sample": session.macs_per_sample,
        "pruning": _pruning(session) if prunes else None,
        "layers": [
            {
                "name": name,
                "weights": weights[name],
                "macs_per_step": layer.macs,
                "operand": "spikes" if layer.binary else "analog",
                "feeds": list(layer.feeds),
            }
            for name, layer in wiring.layers.items()
        ],
        "steps_per_epoch": session.steps_per_epoch,
        "seconds_per_step": step,
        "seconds_per_epoch": per_epoch,
        "epochs": {"dense": config.dense_epochs, "pruned": trained},
        "estimated_training_seconds": per_epoch * epochs,
        "peak_memory_bytes": _peak_memory(session),
    }


def _pruning(session: Session) -> dict[str, Any]:
    config, model = session.config, session.model()
    pruner = session.pruner(model, session.optimizer(model))
    pruner.close()
    groups = pruner.granularity.groups
    if groups is not None:
        return {
            "granularity": "channel",
            "budget": config.channels.budget,
            "sparsity": config.sparsity,
            "groups": [
                {"name": g.name, "channels": g.channels, "layers": list(g.producers)}
                for g in groups
            ],
            "events": 1,
        }
    return {"granularity": "weight", **_weight_plan(pruner, config)}


def _weight_plan(pruner: Pruner, config: RunConfig) -> dict[str, Any]:
    total = pruner.mask.total
    assert config.sparsity is not None
    # Of a budget of SynOps the rates decide, which nobody knows yet.
    live = round((1 - config.sparsity) * total) if config.budget == "weights" else None
    return {
        "sparsity": config.sparsity,
        "budget": config.budget,
        "weights": total,
        "live_at_the_end": live,
        "regrown_per_event_at_most": math.floor(pruner.options.fraction * total),
        "events": len(pruner.event_steps),
        "starts_sparse": 0 in pruner.event_steps,
        "event_every_steps": next((step for step in pruner.event_steps if step), None),
        "pruned_layers": [name.removesuffix(".weight") for name in pruner.mask],
    }


def _seconds_per_step(session: Session) -> float:
    model = session.model().train()
    optimizer, run, loss = session.optimizer(model), session.forward(model), session.loss
    seconds: list[float] = []
    started = time.perf_counter()
    for x, y in session.moved(session.data.train):
        optimizer.zero_grad(set_to_none=True)
        loss(run(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if session.device.type == "cuda":
            torch.cuda.synchronize(session.device)
        now = time.perf_counter()
        seconds.append(now - started)  # with the time that its batch took to load
        started = now
        if len(seconds) > _TIMED_STEPS:
            break
    return statistics.median(seconds[1:] or seconds)


def _peak_memory(session: Session) -> int:
    if session.device.type == "cuda":
        return torch.cuda.max_memory_allocated(session.device)
    return peak_rss_bytes()
