"""`python -m study.collect RUNS` writes what was measured in the study's runs to study/results.

A file per part, a row per finished run: the row of the comparison's `cells.json` without latencies,
which mean little while other runs share the cores, and by layer what lives, what it costs and what
regrowth brought back.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from spikeprune.lab.compare import load_cells

RESULTS = Path(__file__).with_name("results")
LEFT_OUT = {"run", "latency_b1_ms", "latency_b32_ms", "peak_rss_bytes", "facts"}


def layers(metrics):
    regrown, events = Counter(), (metrics["regrowth"] or {}).get("events", [])
    for event in events:
        regrown.update({name: layer["regrown"] for name, layer in event["layers"].items()})
    return [
        {
            "name": layer["name"],
            "shape": layer["shape"],
            "density": layer["density"],
            "synops": layer["synops"],
            "regrown_in_all_events": regrown[layer["name"]],
        }
        for layer in metrics["pruned"]["layers"]
    ]


def row(cell, folder):
    found = {k: v for k, v in cell.as_json(folder).items() if k not in LEFT_OUT}
    return {**found, "layers": layers(cell.metrics)}


def collect(folder):
    """Return the rows of a comparison, and what all its runs were run on."""
    cells = load_cells(folder)
    facts = {name: sorted({cell.facts[name] for cell in cells}) for name in cells[0].facts}
    return {"facts": facts, "rows": [row(cell, folder) for cell in cells]}


def entropy(folder):
    """Return, by seed, rank correlations of spike entropy by layer of the nets of a run."""
    found = {}
    for path in sorted(folder.glob("*/analysis.json"), key=lambda path: int(path.parent.name)):
        (run,) = json.loads(path.read_text())["runs"]
        found[path.parent.name] = {
            net: {kind: measured["entropy"][kind] for kind in ("samples", "mean", "layers")}
            for net, measured in run["nets"].items()
        }
    return found


def main(runs):
    RESULTS.mkdir(exist_ok=True)
    if found := entropy(runs / "entropy"):
        (RESULTS / "entropy.json").write_text(json.dumps(found) + "\n")
    for folder in sorted(path.parent for path in runs.glob("*/compare.yaml")):
        if not (folder / "cells.json").is_file():  # nothing is finished yet
            continue
        found = collect(folder)
        lines = ",\n".join(map(json.dumps, found["rows"]))  # a line per run
        facts = json.dumps(found["facts"], indent=1)
        text = f'{{"facts": {facts},\n"rows": [\n{lines}\n]}}\n'
        (RESULTS / f"{folder.name}.json").write_text(text)
        print(f"{folder.name}: {len(found['rows'])} finished runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
