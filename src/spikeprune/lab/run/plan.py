"""`spikeprune plan`: the pruning and the cost of a run, before any training."""

import math
import statistics
import time
from typing import Any

import torch

from spikeprune.adapters.neuron import described, neurons_of
from spikeprune.lab.run.check import check
from spikeprune.lab.run.preflight import preflight
from spikeprune.lab.run.results.metrics_json import peak_rss_bytes
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.objective import Objective, stand_in_teacher
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import epochs_of

_TIMED_STEPS = 5


def plan(config: RunConfig) -> dict[str, Any]:
    """Return layers, parameters, MACs, events, memory and time of the run of `config`.

    It refuses what the run refuses before training. Time per epoch is extrapolated from the median
    of a few timed training steps and has no validation. Nothing is written and no model is kept.
    """
    session = Session(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    check(config, steps_per_epoch=session.steps_per_epoch, folder=False)
    preflight(session)
    prunes = session.method.prunes
    epochs = {"dense": config.dense_epochs, "pruned": epochs_of(config)[1] if prunes else 0}
    step = _seconds_per_step(session)
    per_epoch = step * session.steps_per_epoch
    pruning = _pruning(session) if prunes else None
    on_cuda = session.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated(session.device) if on_cuda else peak_rss_bytes()
    return {
        "data": session.data.info.label,
        "training_samples": session.data.score.samples,
        "model": session.description,
        "parameters": sum(p.numel() for p in session.built().parameters()),
        "prunable_weights": sum(session.weight_counts.values()),
        "macs_per_sample": session.macs_per_sample,
        "pruning": pruning,
        "layers": _layers(session),
        "neurons": _neurons(session),
        "notes": [*session.wiring.notes, *session.without_effect],
        "steps_per_epoch": session.steps_per_epoch,
        "seconds_per_step": step,
        "seconds_per_epoch": per_epoch,
        "epochs": epochs,
        "estimated_training_seconds": per_epoch * sum(epochs.values()),
        "peak_memory_bytes": memory,
    }


def _layers(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "weights": session.weight_counts.get(name, 0),
            "macs_per_step": layer.macs,
            "operand": "spikes" if layer.binary else "analog",
            "feeds": list(layer.feeds),
        }
        for name, layer in session.wiring.layers.items()
    ]


def _neurons(session: Session) -> list[dict[str, Any]]:
    """Return what was found of every neuron that is observed."""
    wiring, model = session.wiring, session.built(place=False)
    return [
        {
            "name": name,
            **described(neuron),
            "fed_by": [n for n, layer in wiring.layers.items() if name in layer.feeds],
        }
        for name, neuron in neurons_of(model, wiring.sites, wiring.neurons).items()
    ]


def _pruning(session: Session) -> dict[str, Any]:
    config, model = session.config, session.built(weights=True)
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
    assert config.sparsity is not None
    total = pruner.mask.total
    # With a budget of SynOps the number depends on firing rates, which are not known yet.
    live = round((1 - config.sparsity) * total) if config.budget == "weights" else None
    return {
        "granularity": "weight",
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
    model = session.built(weights=True).train()
    optimizer, run = session.optimizer(model), session.forward(model)
    objective = Objective(session, teacher=stand_in_teacher(session))
    seconds: list[float] = []
    started = time.perf_counter()
    with objective.of(model) as loss:
        for x, y in session.moved(session.data.train, model):
            optimizer.zero_grad(set_to_none=True)
            loss(run(x), y, x).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if session.device.type == "cuda":
                torch.cuda.synchronize(session.device)
            now = time.perf_counter()
            seconds.append(now - started)  # includes loading the batch
            started = now
            if len(seconds) > _TIMED_STEPS:
                break
    return statistics.median(seconds[1:] or seconds)
