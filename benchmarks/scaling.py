"""How cost grows: with T, batch, channels, weights and prunable layers, ours and SpikingJelly's.

`python -m benchmarks.scaling --json FILE --plot FILE` measures and draws.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.nets import Case, ours, spikingjelly
from benchmarks.timing import compare
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.choose_weights import choose_weights

BASE = Case("plain net", (32,) * 4, 3, 16, 4, 32)
NAMES = {
    "ours": "training step, ours",
    "theirs": "training step, SpikingJelly fp32",
    "event": "pruning event",
}


@dataclass(frozen=True)
class Axis:
    """One quantity that grows while all else stays."""

    name: str
    cases: tuple[tuple[float, Case], ...]


def axes(*, quick: bool) -> tuple[Axis, ...]:
    base = replace(BASE, widths=(4, 4), side=8, batch=4) if quick else BASE
    many = 2 if quick else 5
    doubled = [2**k for k in range(many)]
    layers = len(base.widths)
    return (
        Axis("time steps T", tuple((t, replace(base, time_steps=t)) for t in doubled)),
        Axis("batch", tuple((8 * n, replace(base, batch=8 * n)) for n in doubled)),
        Axis(
            "channels of every layer",
            tuple((8 * n, replace(base, widths=(8 * n,) * layers)) for n in doubled),
        ),
        Axis(
            "prunable layers", tuple((2 * n, replace(base, widths=(16,) * 2 * n)) for n in doubled)
        ),
    )


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Return milliseconds of a training step of both and of a pruning event, and the weights."""
    trainers = {"ours": ours(case), "theirs": spikingjelly(case)}
    ms = compare({name: trainer.step for name, trainer in trainers.items()}, rounds=rounds)
    weights = {n: p.detach() for n, p in case.net().named_parameters() if p.ndim > 1}
    ms |= compare({"event": _event(weights)}, rounds=rounds)
    return ms | {"weights": sum(w.numel() for w in weights.values())}


def _event(weights):
    generator = torch.Generator().manual_seed(0)
    live = {n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in weights.items()}
    scores = {
        n: torch.rand(len(w), *[1] * (w.ndim - 1), generator=generator) for n, w in weights.items()
    }
    options = PruneOptions(sparsity=0.9)
    return lambda: choose_weights(weights, live, scores, density=0.3, options=options)


def scaling(*, quick: bool) -> list[dict[str, float | str]]:
    """Return one point per value of every axis, and the same points over their weights."""
    rounds = 1 if quick else 7
    points: list[dict[str, float | str]] = []
    for axis in axes(quick=quick):
        for value, case in axis.cases:
            points.append({"axis": axis.name, "value": value} | measure(case, rounds))
    wide = [p for p in points if p["axis"] == "channels of every layer"]
    return [*points, *(p | {"axis": "prunable weights", "value": p["weights"]} for p in wide)]


def draw(points, path: Path) -> None:
    """Draw all axes side by side, both scales logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(point["axis"] for point in points))
    figure, panels = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 3.4), sharey=True)
    for panel, name in zip(panels, names, strict=True):
        here = [point for point in points if point["axis"] == name]
        for key, label in NAMES.items():
            values = [p["value"] for p in here], [p[key] for p in here]
            panel.plot(*values, marker="o", markersize=4, label=label)
        panel.set(xscale="log", yscale="log", xlabel=name)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False
    )
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny nets: only to see that it runs")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    options = parser.parse_args()
    points = scaling(quick=options.quick)
    options.json.write_text(json.dumps(points, indent=2) + "\n")
    draw(points, options.plot)
    print(f"{len(points)} points in {options.json}, drawn in {options.plot}")


if __name__ == "__main__":
    main()
