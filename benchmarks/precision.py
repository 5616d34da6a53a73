"""`python -m benchmarks.precision`: what bf16 training does to accuracy, in paired runs.

Trains a recipe's dense net (or, with `--pruned`, its pruned one too) in fp32 and in bf16 with each
seed, everything else equal, and prints the differences with their mean and standard deviation.
Every training is a run folder, so the same command goes on where it was stopped.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from spikeprune.lab.run.run import run
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import merge
from spikeprune.lab.settings.recipes import read_recipe

PRECISIONS = ("fp32", "bf16")


def configuration(options):
    """Return the recipe with what was asked for laid over it."""
    given = {"limit": options.limit, "threads": options.threads}
    if not options.pruned:
        given |= {"method": "dense", "epochs": {"dense": options.epochs}}
    elif options.epochs is not None:
        given["epochs"] = {"prune": options.epochs // 2, "finetune": -(-options.epochs // 2)}
    values = {name: value for name, value in given.items() if value is not None}
    return RunConfig.from_dict(merge(read_recipe(options.recipe), values))


def measured(config, folder, seed, precision):
    """Run, or read what was run, and return accuracies and seconds."""
    out = folder / f"{precision}-seed{seed}"
    one = replace(config, seed=seed, precision=precision, out=str(out))
    run(one)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["precision"] == precision
    cost = metrics["cost"]
    found = {
        "dense": metrics["dense"]["test_accuracy"],
        "dense_firing_rate": metrics["dense"]["firing_rate"],
        "dense_seconds": cost["dense"]["wall_seconds"],
    }
    if config.method != "dense":
        found["pruned"] = metrics["pruned"]["test_accuracy"]
        found["pruned_seconds"] = cost["wall_seconds"]
    return found


def summary(rows, key):
    """Return the paired differences bf16 - fp32 of one quantity: mean, sample deviation, all."""
    gaps = [row["bf16"][key] - row["fp32"][key] for row in rows]
    return {
        "fp32": statistics.mean(row["fp32"][key] for row in rows),
        "bf16": statistics.mean(row["bf16"][key] for row in rows),
        "mean": statistics.mean(gaps),
        "std": statistics.stdev(gaps) if len(gaps) > 1 else None,
        "differences": gaps,
    }


def show(rows, totals, title):
    nets = [name for name in ("dense", "pruned") if name in totals]
    table = Table("seed", "net", "fp32, %", "bf16, %", "difference, points", title=title)
    for row in rows:
        for net in nets:
            accuracies = [100 * row[precision][net] for precision in PRECISIONS]
            gap = accuracies[1] - accuracies[0]
            table.add_row(str(row["seed"]), net, *(f"{a:.2f}" for a in accuracies), f"{gap:+.2f}")
    for net in nets:
        t = totals[net]
        spread = "" if t["std"] is None else f" ± {100 * t['std']:.2f}"
        means = [f"{100 * t[precision]:.2f}" for precision in PRECISIONS]
        table.add_row("mean", net, *means, f"{100 * t['mean']:+.2f}{spread}")
    console = Console(width=140)
    console.print(table)
    for net in nets:
        t = totals[f"{net}_seconds"]
        console.print(f"{net}: training took {t['fp32']:.1f} s in fp32, {t['bf16']:.1f} s in bf16")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--recipe", default="demo", help="recipe by name or file")
    parser.add_argument("--limit", type=int, help="training samples")
    parser.add_argument("--epochs", type=int, help="of each net; default: the recipe's")
    parser.add_argument("--seeds", type=int, default=3, help="paired seeds")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--pruned", action="store_true", help="prune as well")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"), help="run folders")
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args()
    config = configuration(options)
    rows = []
    for seed in range(options.seeds):
        order = PRECISIONS if seed % 2 == 0 else PRECISIONS[::-1]  # neither is always the warmer
        pair = {name: measured(config, options.out, seed, name) for name in order}
        rows.append({"seed": seed, **pair})
    totals = {key: summary(rows, key) for key in rows[0]["fp32"]}
    machine = describe()
    words = ", ".join(f"{key} {value}" for key, value in machine.items())
    show(rows, totals, f"{config.model} on {config.data}; {words}")
    if options.json is not None:
        result = {"machine": machine, "config": config.to_dict(), "rows": rows, "totals": totals}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
