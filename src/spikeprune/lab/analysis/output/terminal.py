"""An analysis in the terminal."""

from rich.console import Console
from rich.text import Text

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.output.sentences import (
    entropy_rows,
    feature_rows,
    headline,
    rho,
    titles,
)
from spikeprune.lab.report.terminal import print_values

_LISTED = ("only_a", "only_b", "both_in_a", "both_in_b")


def print_analysis(console: Console, found: Findings) -> None:
    """Print the tables of an analysis, then its main results in sentences."""
    for title, run in zip(titles(found), found["runs"], strict=True):
        nets = run.get("nets") or {}
        console.print(Text(title, style="bold"))
        values: Findings = {
            f"entropy, {name} net": _narrow_rows(net["entropy"]) for name, net in nets.items()
        }
        values["features"] = feature_rows({n: net for n, net in nets.items() if n != "untrained"})
        values["where regrowth went"] = (run["regrowth"] or {}).get("layers", [])
        values["accuracy, dense to pruned"] = run["classes"]
        values["SynOps, dense to pruned"] = run["synops"]
        values["not available"] = run["refused"]
        _print_filled(console, values)
    if found["pair"]:
        console.print(Text("A and B", style="bold"))
        _print_filled(console, _pair_values(found["pair"]))
    for sentence in headline(found):
        console.print(Text(sentence))


def _narrow_rows(found: Findings) -> list[Findings]:
    """Return the correlations by position alone: a terminal has no room for more."""
    return [
        {
            "layer": row["layer"],
            "channels": row["channels"],
            "bits": row["bits, position"],
            "with criticality": rho(row["to criticality, position"]),
            "with firing rate (the rival)": rho(row["to rate, position"]),
            "with criticality, given the rate": rho(row["given rate, position"]),
        }
        for row in entropy_rows(found)
    ]


def _pair_values(pair: Findings) -> Findings:
    overlap, importance = pair.get("overlap"), pair.get("importance")
    return {
        "differences": [
            {"what": row["what"], "A": str(row["a"]), "B": str(row["b"])}
            for row in pair["differences"]
        ],
        "not comparable": pair["refused"],
        "overlap of masks": overlap and [{"layer": "all", **overlap["all"]}, *overlap["layers"]],
        "importance": importance
        and [{"channels of": key.replace("_", " "), **importance[key]} for key in _LISTED],
        "accuracy, A to B": pair.get("classes"),
        "SynOps, A to B": pair.get("synops"),
    }


def _print_filled(console: Console, values: Findings) -> None:
    print_values(console, {name: value for name, value in values.items() if value})
    console.print()
