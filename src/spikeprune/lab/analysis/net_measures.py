"""Measures of nets on data: spike entropy against criticality, and features by class."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikeprune.data import Batches
from spikeprune.execution.batchnorm import calibrate_norms
from spikeprune.execution.forward import is_static
from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.opened_run import OpenedRun
from spikeprune.lab.run.results.measure import saved_dense
from spikeprune.lab.run.session import Session
from spikeprune.observing.activity import Activity, last_neurons, neuron_activity, spike_features
from spikeprune.science.correlation import partial_spearman, spearman
from spikeprune.science.features import class_mean_cosine, intra_cluster_variance, spike_entropy

KINDS = ("channel", "position")
"""Entropy of a channel's firing rate over all positions; mean over positions of the entropy."""

_CORRELATIONS = ("criticality", "rate", "criticality_given_rate")
_DIGITS = 6


@dataclass(frozen=True)
class Sampled:
    """At most `samples` samples of a loader (None: all), in batches of its size."""

    batches: Batches
    device_batches: Iterable[tuple[Tensor, Tensor]]
    samples: int | None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        total = self.batches.samples
        if self.samples is None or self.samples >= total:
            yield from self.device_batches
            return
        start, size = 0, 0  # spread evenly: a folder of images or recordings is sorted by class
        held: list[tuple[Tensor, Tensor]] = []
        for x, y in self.device_batches:
            size = size or len(y)
            marks = torch.arange(start, start + len(y) + 1) * self.samples // total
            chosen = marks.diff().nonzero().flatten().to(y.device)
            start += len(y)
            held.append((x.index_select(0 if is_static(x) else 1, chosen), y[chosen]))
            if sum(len(labels) for _, labels in held) >= size:
                yield _joined(held)
                held = []
        if any(len(labels) for _, labels in held):
            yield _joined(held)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    inputs, labels = zip(*parts, strict=True)
    return torch.cat(inputs, 0 if is_static(inputs[0]) else 1), torch.cat(labels)


def session_of(run: OpenedRun, *, data_root: str | None, device: str) -> Session:
    """Return the session of a run, with the present place of the data."""
    root = data_root or run.config.data_root
    return Session(replace(run.config, data_root=root, device=device))


def nets_of(run: OpenedRun, session: Session, batches: Sampled) -> Iterator[tuple[str, nn.Module]]:
    """Yield the nets of a run: `untrained` (from its seed), `dense`, and `pruned` if it prunes."""
    fresh = session.built()
    # With the initial statistics, eval mode would compute something that training never does.
    calibrate_norms(fresh, batches, forward=session.forward(fresh))
    yield "untrained", fresh
    yield "dense", saved_dense(session, run.files)
    if run.prunes:
        yield "pruned", session.placed(run.net)


def entropy(net: nn.Module, session: Session, batches: Sampled) -> Findings:
    """Return, by layer, the correlation of spike entropy with criticality and the firing rate.

    Criticality is measured by the run's options, in eval mode on clean training samples.
    """
    config, forward = session.config, session.forward(net)
    found = neuron_activity(
        net, batches, config.criticality, time_steps=config.time_steps, forward=forward
    )
    values = {name: _channel_values(activity) for name, activity in found.items()}
    layers = [_layer_entropy(name, one) for name, one in values.items()]
    return {
        "samples": next(iter(found.values())).samples,
        "mean": summary(layers),
        "layers": layers,
        "channels": {
            name: {key: [round(v, _DIGITS) for v in tensor.tolist()] for key, tensor in one.items()}
            for name, one in values.items()
        },
    }


def _channel_values(activity: Activity) -> dict[str, Tensor]:
    """Return one value per channel of each quantity, float64 on the CPU."""
    by_position = spike_entropy(activity.spikes.cpu(), activity.seen)
    if by_position.ndim > 1:
        by_position = by_position.flatten(1).mean(1)
    return {
        "criticality": activity.score.double().cpu(),
        "rate": activity.rate.cpu(),
        "entropy_channel": spike_entropy(activity.fired.cpu(), activity.chances),
        "entropy_position": by_position,
    }


def _layer_entropy(name: str, values: Mapping[str, Tensor]) -> Findings:
    score, rate = values["criticality"], values["rate"]
    return {
        "layer": name,
        "channels": len(rate),
        "firing_rate": float(rate.mean()),
        "rates_above_half": int((rate > 0.5).sum()),
        "criticality": float(score.mean()),
        "criticality_to_rate": _known(spearman(score, rate)),
        **{kind: _correlations(values[f"entropy_{kind}"], score, rate) for kind in KINDS},
    }


def _correlations(bits: Tensor, score: Tensor, rate: Tensor) -> Findings:
    return {
        "entropy": float(bits.mean()),
        "criticality": _known(spearman(bits, score)),
        "rate": _known(spearman(bits, rate)),
        "criticality_given_rate": _known(partial_spearman(bits, score, rate)),
    }


def summary(layers: list[Findings]) -> dict[str, dict[str, Findings]]:
    """Return each correlation's mean over the layers where it is defined, and their number."""
    means: dict[str, dict[str, Findings]] = {kind: {} for kind in KINDS}
    for kind, by_correlation in means.items():
        for key in _CORRELATIONS:
            known = [row[kind][key] for row in layers if row[kind][key] is not None]
            by_correlation[key] = {"mean": _mean(known), "layers": len(known)}
    return means


def features(net: nn.Module, run: OpenedRun, session: Session, *, samples: int | None) -> Findings:
    """Return spread and direction of each class's spike counts in the last layer, train and test.

    Raises:
        ModelError: The classifier reads no spikes.
    """
    neurons, classes = last_neurons(run.wiring), session.data.info.classes
    train, test = (
        spike_features(
            net,
            sampled(session, batches, samples),
            neurons,
            forward=session.forward(net),
            classes=len(classes),
        )
        for batches in (session.data.score, session.data.test)
    )
    measures = {
        "variance_train": intra_cluster_variance(train).tolist(),
        "variance_test": intra_cluster_variance(test).tolist(),
        "cosine": class_mean_cosine(train, test).tolist(),
    }
    rows: list[Findings] = [
        {"class": name, **{key: _known(values[i]) for key, values in measures.items()}}
        for i, name in enumerate(classes)
    ]
    return {
        "neurons": list(neurons),
        "features": train.means.shape[1],
        "samples": {"train": int(train.counts.sum()), "test": int(test.counts.sum())},
        "mean": {key: _mean([row[key] for row in rows]) for key in measures},
        "classes": rows,
    }


def sampled(session: Session, batches: Batches, samples: int | None) -> Sampled:
    """Return at most `samples` samples of a part of the data, on the run's device."""
    return Sampled(batches, session.moved(batches), samples)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
