"""`python -m benchmarks [--quick] [--json FILE]`: a table of ratios, and JSON."""

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.neurons import neuron_rows
from benchmarks.pruning import pruning_rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny nets: only to see that it runs")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    rows = [*pruning_rows(quick=options.quick), *neuron_rows(quick=options.quick)]
    machine = {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "quick": options.quick,
    }
    table = Table("benchmark", "ours", "ms", "against", "ms", "ratio", title=str(machine))
    for row in rows:
        times = f"{row.ours_ms:.1f}", f"{row.against_ms:.1f}"
        table.add_row(row.benchmark, row.ours, times[0], row.against, times[1], f"{row.ratio:.3f}")
    Console(width=140).print(table)
    if options.json is not None:
        result = {"machine": machine, "rows": [asdict(r) | {"ratio": r.ratio} for r in rows]}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
