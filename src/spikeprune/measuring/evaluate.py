"""Evaluate a net in one pass over its data: accuracy, size, operations, energy, firing, latency."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from spikeprune.adapters.rest import reset
from spikeprune.data.batches import classes_of, pair_of
from spikeprune.distributed.data_parallel import inner_model
from spikeprune.errors import DataError, ModelError, RunError, require_one_of
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.execution.forward import (
    Layout,
    batch_axis,
    evaluating,
    forward,
    is_static,
    predict,
)
from spikeprune.execution.sound_weights import require_sound
from spikeprune.measuring.latency import measure_latency
from spikeprune.measuring.metrics import LayerMetrics, Metrics, ProductMetrics
from spikeprune.measuring.products import ProductCounts, counting_products
from spikeprune.measuring.synops import Counts, counting
from spikeprune.science.cost import energy_nj
from spikeprune.science.health import warnings_of
from spikeprune.wiring.notes import not_counted
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring

Batches = Iterable[Any]
InputOperands = Literal["by-value", "analog"]

_NO_SAMPLES = "expected samples to evaluate, got none; check the split and batch size"


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Batches,
    *,
    time_steps: int,
    wiring: Wiring | None = None,
    classes: int | None = None,
    layout: Layout | None = None,
    prunable: int | Mapping[str, int] | None = None,
    mask: Mapping[str, Tensor] | None = None,
    input_operands: InputOperands = "by-value",
    latency: bool = True,
) -> Metrics:
    """Run `model` over all batches in eval mode, without gradients, and count what it does.

    Args:
        model: the net: dense, masked or cut. Afterwards its modes and hooks are as before and its
            state is reset.
        batches: pairs of input and class `[B]`, `[B, 1]` or one-hot `[B, K]`; inputs as
            `execution.forward.forward` takes them, moved to the model's device.
        time_steps: T.
        wiring: of this net, or of the one that it was cut from. None: traced on the first sample.
        classes: number of classes K. None: as many as the model has outputs.
        layout: how the model is called, see `execution.forward.forward`. None: as the wiring says.
        prunable: prunable weights of the original net, in all or by layer name; by name, layers
            without an entry take no part in the density. None: all weights of the layers as they
            are.
        mask: masks by parameter name, which say what is live. A weight without a mask is live if
            it is not 0.
        input_operands: what a layer does that reads the input of the net: `by-value` (NeuroBench)
            accumulates where all inputs are 0, 1 or -1, as in frames of events, and multiplies
            where not; `analog` always multiplies.
        latency: whether to measure latency, on a copy with folded BatchNorms.

    Raises:
        ConfigError: an unknown rule for `input_operands`.
        DataError: no sample, labels that are no classes, or events of another T.
        ModelError: weights that are not finite, a net that cannot be traced, an output of another
            shape, an operand that is not what the graph says, weights that are not 0 where the mask
            is, or more live weights than prunable ones.
        RunError: logits that are not finite.
    """
    require_one_of("input_operands", input_operands, get_args(InputOperands))
    model = inner_model(model)
    require_sound(model)
    if wiring is None:
        wiring, batches = _traced(model, batches, time_steps, layout)
    layout = wiring.layout if layout is None else layout
    live = {name: _live(model, name, mask or {}) for name in wiring.layers}
    density, densities = _densities(model, live, prunable)
    run = partial(forward, model, time_steps=time_steps, layout=layout)
    try:
        with (
            evaluating(model),
            counting(model, wiring) as counts,
            counting_products(model, wiring) as found,
        ):
            seen = _classify(run, batches, _device(model), classes)
    finally:
        reset(model)
    rows = _layers(counts, wiring, densities, samples=seen.samples, inputs=input_operands)
    products = found.rows(seen.samples)
    every: tuple[LayerMetrics | ProductMetrics, ...] = (*rows, *products)
    macs = sum(row.synops for row in every if row.operand == "analog")
    acs = sum(row.synops for row in every if row.operand == "spikes")
    latency_ms = None
    if latency and isinstance(layout, str):
        latency_ms = latencies({"": model}, seen.example, time_steps=time_steps, layout=layout)[""]
    return Metrics(
        test_accuracy=float(seen.hits.sum()) / seen.samples,
        per_class_accuracy=seen.per_class(),
        parameters=sum(p.numel() for p in model.parameters()),
        nonzero_parameters=sum(int(p.count_nonzero()) for p in model.parameters()),
        density=density,
        dense_macs_per_sample=sum(row.dense // seen.samples for row in counts.layers.values())
        + sum(row.dense_macs for row in products),
        effective_macs_per_sample=macs,
        effective_acs_per_sample=acs,
        synops_per_sample=macs + acs,
        energy_nj_per_sample=energy_nj(macs, acs),
        firing_rate=counts.firing_rate() or 0.0,
        silent_neurons=counts.silent_share(),
        latency_ms=latency_ms,
        latency_threads=torch.get_num_threads(),
        first_layer_macs_per_sample=_first_layers(counts, wiring, seen, time_steps),
        layers=rows,
        products=products,
        notes=_notes(wiring, found),
        warnings=warnings_of(
            live=live,
            silent=counts.silent_shares(),
            right=seen.hits.tolist(),
            asked=seen.totals.tolist(),
        ),
    )


def _notes(wiring: Wiring, found: ProductCounts) -> tuple[str, ...]:
    notes = [n for n in wiring.notes if "not counted" in n or n.startswith("no spiking")]
    if found.opaque:
        notes.append(not_counted(found.opaque))
    return tuple(dict.fromkeys(notes))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _one_slice(x: Tensor, model: nn.Module) -> Tensor:
    """Return one time step of one sample of a batch, static or events."""
    return x[:1] if is_static(x, model) else x[0, :1]


def _traced(
    model: nn.Module, batches: Batches, time_steps: int, layout: Layout | None
) -> tuple[Wiring, Batches]:
    """Return the wiring, traced on the first sample, and all batches that have samples."""
    rest = iter(batches)
    first = next((batch for batch in rest if len(pair_of(batch)[1])), None)
    if first is None:
        raise DataError(_NO_SAMPLES)
    x = _moved(pair_of(first)[0], _device(model))
    whole = not isinstance(layout, str | None) or layout == "batch"
    example = x if whole else _one_slice(x, model)
    return trace(model, example, time_steps=time_steps, layout=layout), chain([first], rest)


def _moved(x: Any, device: torch.device) -> Any:
    return x.to(device) if isinstance(x, Tensor) else x


@dataclass
class _Seen:
    """Right answers and samples by class `[K]`, and one batch of inputs."""

    hits: Tensor
    totals: Tensor
    example: Any

    @property
    def samples(self) -> int:
        return int(self.totals.sum())

    def per_class(self) -> tuple[float | None, ...]:
        pairs = zip(self.hits.tolist(), self.totals.tolist(), strict=True)
        return tuple(hits / total if total else None for hits, total in pairs)


def _classify(
    run: Callable[[Tensor], Tensor], batches: Batches, device: torch.device, classes: int | None
) -> _Seen:
    seen: _Seen | None = None
    for number, batch in enumerate(batches, start=1):
        inputs, labels = pair_of(batch)
        x, y = _moved(inputs, device), labels.to(device)
        logits = run(x)
        classes = logits.shape[-1] if classes is None else classes
        _check(logits, classes, number)
        y = classes_of(y, classes)
        if len(y) != logits.shape[1]:
            raise DataError(
                f"expected one label from 0 to {classes - 1} for each sample, got {len(y)} for "
                f"{logits.shape[1]} samples"
            )
        right = y[predict(logits) == y]
        hits, totals = (torch.bincount(t, minlength=classes) for t in (right, y))
        if seen is None:
            seen = _Seen(hits, totals, x)
        else:
            seen.hits, seen.totals = seen.hits + hits, seen.totals + totals
    if seen is None or not seen.samples:
        raise DataError(_NO_SAMPLES)
    return seen


def _check(logits: Tensor, classes: int, number: int) -> None:
    if logits.shape[-1] != classes:
        raise ModelError(
            f"expected logits of {classes} classes, got {logits.shape[-1]}; build the model with "
            "the classes of the data"
        )
    if not bool(logits.isfinite().all()):
        raise RunError(
            f"the logits of batch {number} are not finite; the weights or the normalisation are "
            "broken: take an earlier checkpoint, or train with a lower learning rate"
        )


def _weight(model: nn.Module, layer: str) -> Tensor:
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight


def _live(model: nn.Module, layer: str, mask: Mapping[str, Tensor]) -> int:
    """Return how many weights of a layer are live, by its mask or else by what is not 0."""
    weight, name = _weight(model, layer), f"{layer}.weight"
    if name not in mask:
        return int(weight.count_nonzero())
    if mask[name].shape != weight.shape:
        raise ModelError(
            f"expected a mask of shape {tuple(weight.shape)} for {name!r}, got "
            f"{tuple(mask[name].shape)}; a cut net needs no mask"
        )
    dead = ~mask[name].to(weight.device)
    if bool(weight[dead].any()):
        raise ModelError(
            f"expected {name!r} to be 0 where its mask is, but {int(weight[dead].count_nonzero())} "
            "weights are not; apply the mask before evaluating"
        )
    return int(mask[name].count_nonzero())


def _densities(
    model: nn.Module, live: Mapping[str, int], prunable: int | Mapping[str, int] | None
) -> tuple[float, dict[str, float]]:
    """Return the density of the net and of each layer."""
    sizes = {name: _weight(model, name).numel() for name in live}
    if isinstance(prunable, int):
        counted, total = live, prunable
    else:
        named = sizes if prunable is None else dict(prunable)
        counted, total = {n: live[n] for n in live if n in named}, sum(named.values())
        sizes |= named
    alive = sum(counted.values())
    if not 0 < total >= alive:
        raise ModelError(
            f"expected `prunable` weights of the original net, at least the {alive} that are live, "
            f"got {total}; give the number before the net was pruned"
        )
    return alive / total, {name: live[name] / sizes[name] for name in live}


def _layers(
    counts: Counts,
    wiring: Wiring,
    densities: Mapping[str, float],
    *,
    samples: int,
    inputs: InputOperands,
) -> tuple[LayerMetrics, ...]:
    rows = []
    for name, count in counts.layers.items():
        if count.nonzero is None:
            raise ModelError(f"the layer {name!r} was not run, so nothing could be counted there")
        layer = wiring.layers[name]
        spikes = count.accumulates(layer) and not (inputs == "analog" and layer.reads_input)
        weighted = None if spikes else count.value_weighted()
        rows.append(
            LayerMetrics(
                name=name,
                shape=tuple(count.weight.shape),
                density=densities[name],
                firing_rate=counts.firing_rate(layer.feeds),
                synops=count.synops() / samples,
                operand="spikes" if spikes else "analog",
                value_weighted_acs=None if weighted is None else weighted / samples,
                dead_channels=int((~count.weight.flatten(1).any(1)).sum()),
                silent_neurons=counts.silent_share(layer.feeds),
            )
        )
    return tuple(rows)


def _first_layers(
    counts: Counts, wiring: Wiring, seen: _Seen, time_steps: int
) -> dict[str, float | None]:
    """Return the effective MACs of the layers that read no neuron, run once and at every step."""
    once = 0.0
    for name, count in counts.layers.items():
        if not wiring.layers[name].sources:
            repeats = time_steps if count.slices >= seen.samples * time_steps else 1
            once += count.synops() / seen.samples / repeats
    static = isinstance(seen.example, Tensor) and is_static(seen.example)
    return {"static": once if static else None, "every_step": once * time_steps}


@torch.no_grad()
def latencies(
    models: Mapping[str, nn.Module],
    x: Tensor,
    *,
    time_steps: int,
    layout: Layout = "sequence",
    ready: Mapping[str, nn.Module] = MappingProxyType({}),
) -> dict[str, dict[str, float]]:
    """Return the median milliseconds by net, for batches of 1 and 32: `{name: {"b1", "b32"}}`.

    The nets are in eval mode and take turns on a batch `x`: `models` as copies with folded
    BatchNorms, those of `ready` as they are, such as the nets of `event_driven`.
    """
    nets = {name: fold_batchnorm(model, _one_slice(x, model)) for name, model in models.items()}
    runs = {
        name: partial(forward, net, time_steps=time_steps, layout=layout)
        for name, net in (nets | dict(ready)).items()
    }
    by_sample = layout == "batch" and x.shape[0] != time_steps
    axis = 0 if by_sample else batch_axis(x, next(iter(nets.values())))
    return measure_latency(runs, x, axis=axis)
