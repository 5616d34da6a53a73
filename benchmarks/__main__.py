"""`python -m benchmarks [--quick] [--only GROUP ...] [--json FILE]`: a table of ratios, and JSON.

Each group runs in a process of its own, so that none inherits another's memory or threads.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.timing import Row

GROUPS = {
    "training": "training:training_rows",
    "memory": "memory:memory_rows",
    "pruning": "pruning:pruning_rows",
    "neurons": "neurons:neuron_rows",
    "eventdriven": "eventdriven:event_rows",
    "distributed": "distributed:distributed_rows",
}
"""Name -> module:function(quick=...) of this package, which gives the rows."""


def rows_of(group: str, *, quick: bool) -> list[Row]:
    """Return the rows of a group, measured in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks", "--group", group, "--json", str(target)]
        subprocess.run(command + ["--quick"] * quick, check=True)
        return [Row.from_dict(row) for row in json.loads(target.read_text())]


def measure(group: str, *, quick: bool, target: Path) -> None:
    """Measure a group in this process and write its rows."""
    module, _, function = GROUPS[group].partition(":")
    rows = getattr(importlib.import_module(f"benchmarks.{module}"), function)(quick=quick)
    target.write_text(json.dumps([row.to_dict() for row in rows]))


def show(machine: dict[str, object], rows: list[Row]) -> None:
    """Print the table."""
    headings = (
        "benchmark",
        "ours",
        "cost",
        "against",
        "cost",
        "ratio",
        "at least",
        "reach for",
        "",
    )
    title = ", ".join(f"{key} {value}" for key, value in machine.items())
    table = Table(*headings, title=title, caption="ratio: speed-up (x) or share of the alternative")
    for row in rows:
        sign = "x" if row.goal is not None and row.goal.kind == "speed-up" else ""
        goals = (
            ("", "")
            if row.goal is None
            else (f"{row.goal.least:.3g}{sign}", f"{row.goal.reach:.3g}{sign}")
        )
        costs = f"{row.ours_cost:.4g} {row.unit}", f"{row.against_cost:.4g} {row.unit}"
        measured = f"{row.measured:.3f}{sign}"
        table.add_row(
            row.benchmark, row.ours, costs[0], row.against, costs[1], measured, *goals, row.verdict
        )
    Console(width=170).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny nets: only to see that it runs")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--group", choices=GROUPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.group is not None:
        measure(options.group, quick=options.quick, target=options.json)
        return
    machine = describe() | {"quick": options.quick}
    rows = [row for group in options.only for row in rows_of(group, quick=options.quick)]
    show(machine, rows)
    if options.json is not None:
        result = {"machine": machine, "rows": [row.to_dict() for row in rows]}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
