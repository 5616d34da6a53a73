"""Where the time of the fastest training step goes, by kind of operation.

`python -m benchmarks.profile [CASE ...]` prints a table per net.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks.nets import CASES, QUICK, ours, spikingjelly

KINDS = (
    ("convolution, backward", ("convolution_backward",)),
    ("convolution, forward", ("conv",)),
    ("BatchNorm, backward", ("batch_norm_backward",)),
    ("BatchNorm, forward", ("batch_norm",)),
    ("neuron", ("Eager", "graph_", "cpp_fused", "Compiled", "neuron")),
    ("pool", ("pool",)),
    ("linear", ("mm", "linear")),
    ("optimiser", ("optimizer", "foreach")),
)
WAYS = {"ours": ours, "SpikingJelly fp32": spikingjelly}
STEPS = 3


def kind_of(name: str) -> str:
    return next((kind for kind, parts in KINDS if any(p in name for p in parts)), "other")


def shares(trainer) -> dict[str, float]:
    """Return the share of the CPU time of a training step by kind of operation."""
    trainer.step()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(STEPS):
            trainer.step()
    spent: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: t / total for kind, t in sorted(spent.items(), key=lambda row: -row[1])}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="a tiny net: only to see that it runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases = [QUICK] if options.quick else [CASES[name] for name in options.cases]
    found = {}
    for case in cases:
        found[str(case)] = columns = {way: shares(make(case)) for way, make in WAYS.items()}
        table = Table("operation", *columns, title=str(case))
        for kind in columns["ours"] | columns["SpikingJelly fp32"]:
            table.add_row(kind, *(f"{column.get(kind, 0.0):.1%}" for column in columns.values()))
        Console(width=100).print(table)
    if options.json is not None:
        result = {"threads": torch.get_num_threads(), "shares": found}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
