"""What nets do on the data: spike entropy against criticality, and features by class."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikeprune.data import Batches
from spikeprune.execution.batchnorm import calibrate_norms
from spikeprune.execution.forward import is_static
from spikeprune.lab.analysis.opened_run import Opened
from spikeprune.lab.report.run_record import Row
from spikeprune.lab.run.results.measure import saved_dense
from spikeprune.lab.run.session import Session
from spikeprune.observing.activity import Activity, last_neurons, neuron_activity, spike_features
from spikeprune.science.correlation import partial_spearman, spearman
from spikeprune.science.features import (
    ClassSums,
    class_mean_cosine,
    intra_cluster_variance,
    spike_entropy,
)

KINDS = ("channel", "position")
"""Entropy of a channel's firing rate over all positions; mean over positions of the entropy."""

_CORRELATIONS = ("criticality", "rate", "criticality_given_rate")
_DIGITS = 6


@dataclass(frozen=True)
class Sampled:
    """`samples` samples of a loader, spread evenly over it (None: all), in batches of its size.

    Spread sample by sample, since a folder of images or recordings comes sorted by class.
    """

    batches: Batches
    device_batches: Iterable[tuple[Tensor, Tensor]]
    samples: int | None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        total = self.batches.samples
        if self.samples is None or self.samples >= total:
            yield from self.device_batches
            return
        start, size = 0, 0
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


def session_of(run: Opened, *, data_root: str | None, device: str) -> Session:
    """Return what a run worked on, with the data where they lie now."""
    config = run.config
    return Session(replace(config, data_root=data_root or config.data_root, device=device))


def nets_of(run: Opened, session: Session, batches: Sampled) -> Iterator[tuple[str, nn.Module]]:
    """Yield the nets of a run: `untrained` (from its seed), `dense`, and `pruned` where it prunes.

    The untrained net's BatchNorms get the statistics of the data first: until a net has seen
    data, eval mode computes something that training never does.
    """
    fresh = session.built()
    calibrate_norms(fresh, batches, forward=session.forward(fresh))
    yield "untrained", fresh
    yield "dense", saved_dense(session, run.files)
    if run.prunes:
        yield "pruned", session.placed(run.net)


def entropy(net: nn.Module, session: Session, batches: Sampled) -> Row:
    """Return, by layer, how spike entropy goes with criticality and with the firing rate.

    Criticality is measured as the run's options say, in eval mode on clean training samples.
    """
    c = session.config.criticality
    found = neuron_activity(
        net,
        batches,
        time_steps=session.config.time_steps,
        forward=session.forward(net),
        curve=c.curve,
        value=c.value,
        space=c.space,
        time=c.time,
    )
    values = {name: _values(activity) for name, activity in found.items()}
    layers = [_layer(name, one) for name, one in values.items()]
    return {
        "samples": next(iter(found.values())).samples,
        "mean": summary(layers),
        "layers": layers,
        "channels": {
            name: {key: [round(v, _DIGITS) for v in tensor.tolist()] for key, tensor in one.items()}
            for name, one in values.items()
        },
    }


def _values(activity: Activity) -> dict[str, Tensor]:
    """Return one value per channel of each quantity, float64 on the CPU."""
    rates = activity.rates.cpu()
    by_position = (
        spike_entropy(rates).flatten(1).mean(1) if rates.ndim > 1 else spike_entropy(rates)
    )
    rate = activity.rate.cpu()
    return {
        "criticality": activity.score.double().cpu(),
        "rate": rate,
        "entropy_channel": spike_entropy(rate),
        "entropy_position": by_position,
    }


def _layer(name: str, values: Mapping[str, Tensor]) -> Row:
    score, rate = values["criticality"], values["rate"]
    row: Row = {
        "layer": name,
        "channels": len(rate),
        "firing_rate": float(rate.mean()),
        "rates_above_half": int((rate > 0.5).sum()),
        "criticality": float(score.mean()),
        "criticality_to_rate": _known(spearman(score, rate)),
    }
    for kind in KINDS:
        bits = values[f"entropy_{kind}"]
        row[kind] = {
            "entropy": float(bits.mean()),
            "criticality": _known(spearman(bits, score)),
            "rate": _known(spearman(bits, rate)),
            "criticality_given_rate": _known(partial_spearman(bits, score, rate)),
        }
    return row


def summary(layers: list[Row]) -> Row:
    """Return each correlation's mean over the layers where it is defined, and their number."""
    means: Row = {}
    for kind in KINDS:
        means[kind] = {}
        for key in _CORRELATIONS:
            known = [row[kind][key] for row in layers if row[kind][key] is not None]
            means[kind][key] = {
                "mean": sum(known) / len(known) if known else None,
                "layers": len(known),
            }
    return means


def features(net: nn.Module, run: Opened, session: Session, *, samples: int | None) -> Row:
    """Return, by class, spread and direction of the last layer's spike counts, train and test.

    Test data serve to describe the net here; nothing is chosen by them.

    Raises:
        ModelError: a classifier that reads no spikes.
    """
    neurons = last_neurons(run.wiring)
    classes = session.data.info.classes
    sums = {
        part: spike_features(
            net,
            sampled(session, batches, samples),
            neurons,
            forward=session.forward(net),
            classes=len(classes),
        )
        for part, batches in (("train", session.data.score), ("test", session.data.test))
    }
    rows = _class_features(classes, sums["train"], sums["test"])
    keys = ("variance_train", "variance_test", "cosine")
    return {
        "neurons": list(neurons),
        "features": sums["train"].means.shape[1],
        "samples": {part: int(one.counts.sum()) for part, one in sums.items()},
        "mean": {key: _mean([row[key] for row in rows]) for key in keys},
        "classes": rows,
    }


def sampled(session: Session, batches: Batches, samples: int | None) -> Sampled:
    """Return some samples of a part of the data, on the run's device."""
    return Sampled(batches, session.moved(batches), samples)


def _class_features(classes: tuple[str, ...], train: ClassSums, test: ClassSums) -> list[Row]:
    columns = {
        "variance_train": intra_cluster_variance(train),
        "variance_test": intra_cluster_variance(test),
        "cosine": class_mean_cosine(train, test),
    }
    return [
        {"class": name, **{key: _known(float(column[k])) for key, column in columns.items()}}
        for k, name in enumerate(classes)
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
