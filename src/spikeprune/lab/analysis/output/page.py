"""The page of an analysis."""

from collections.abc import Sequence
from typing import Any

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.output.pair_figures import pair_figures
from spikeprune.lab.analysis.output.run_figures import run_figures
from spikeprune.lab.analysis.output.sentences import entropy_rows, feature_rows, headline, titles
from spikeprune.lab.report.html import TableCell, render_page
from spikeprune.lab.report.number_words import is_number, percent

_SECTIONS = (
    ("entropy", "Entropy and criticality"),
    ("features", "Features by class"),
    ("regrowth", "Regrowth"),
    ("change", "Effects of pruning"),
)
_DEFINITIONS = {
    "Spike entropy": (
        "H(p) = −p log₂ p − (1 − p) log₂(1 − p) of a firing probability, in bits: largest at one "
        "half. By channel: p is the rate over time, samples and positions. By position: p is the "
        "rate over time and samples at a position, and the entropies are averaged."
    ),
    "Rank correlation": (
        "Spearman's, over the channels of a layer; ties get their mean rank. Given the rate: the "
        "partial correlation, with the ranks of the firing rate held fixed. While all rates of a "
        "layer are below one half, entropy by channel ranks the channels exactly as the rate does, "
        "and nothing is left for criticality to explain: undefined."
    ),
    "Untrained net": (
        "The net with its initial weights. Its BatchNorms have the statistics of the data: with "
        "the initial ones it would compute something that training never does."
    ),
    "Spread and cosine": (
        "Features are the spike counts over T of the neurons that the classifier reads, scaled to "
        "[0, 1] in each sample. Spread: mean squared distance of a class's samples to their mean."
    ),
    "By chance": (
        "Expected overlap of two independent masks with the same density in every layer: the "
        "Jaccard index of the expected counts."
    ),
}


def render_analysis(found: Findings) -> str:
    """Return the page of an analysis as one HTML document."""
    names = titles(found)
    runs = [
        _run_values(run, key, title if len(names) > 1 else "")
        for key, title, run in zip("ab", names, found["runs"], strict=False)
    ]
    pair = found["pair"] and _pair_values(found["pair"])
    drawn = [figure for run in runs for section in run["sections"] for figure in section["figures"]]
    drawn += pair["figures"] if pair else []
    return render_page(
        "analysis.html",
        drawn,
        title=" against ".join(names) if len(names) > 1 else f"Analysis of {names[0]}",
        headline=headline(found),
        runs=runs,
        pair=pair,
        definitions=_DEFINITIONS.items(),
    )


def _run_values(run: Findings, key: str, title: str) -> Findings:
    """Return the template's values for one run; `title` is empty if it is the only one."""
    figures, tables = run_figures(run, key), _tables(run)
    return {
        "key": key,
        "title": title or "The run",
        "facts": _facts(run),
        "refused": run["refused"],
        "sections": [
            {
                "key": f"{key}-{section}",
                "title": f"{title[0]}: {words}" if title else words,
                "figures": figures[section],
                "tables": [_table(caption, rows) for caption, rows in tables[section] if rows],
            }
            for section, words in _SECTIONS
        ],
    }


def _pair_values(pair: Findings) -> Findings:
    return {
        "refused": pair["refused"],
        "differences": [
            [TableCell(str(row[key])) for key in ("what", "a", "b")] for row in pair["differences"]
        ],
        "figures": pair_figures(pair),
    }


def _facts(run: Findings) -> list[tuple[str, str]]:
    sparsity, accuracy = run["sparsity"], run["test_accuracy"]
    dense, pruned = percent(accuracy["dense"]), percent(accuracy["pruned"])
    measured = [net for net in (run.get("nets") or {}).values() if "features" in net]
    samples = measured[0]["features"]["samples"] if measured else {}
    counts = ", ".join(f"{count:,} {part}" for part, count in samples.items())
    rows = [
        ("Folder", run["folder"]),
        ("Data", str(run["data"])),
        ("Net", f"{run['model']}, T = {run['time_steps']}"),
        ("Method", f"{run['method']}, granularity {run['granularity']}"),
        ("Sparsity", percent(sparsity) if sparsity is not None else ""),
        ("Seed", str(run["seed"])),
        ("Accuracy", f"test: dense {dense}, pruned {pruned}"),
        ("Criticality", ", ".join(f"{key} {value}" for key, value in run["criticality"].items())),
        ("Run on", f"{counts} samples" if samples else ""),
    ]
    return [(term, text) for term, text in rows if text]


def _tables(run: Findings) -> dict[str, list[tuple[str, list[Findings]]]]:
    """Return captions and rows of the tables by section."""
    nets = run.get("nets") or {}
    return {
        "entropy": [
            (f"Correlations in the {name} net", entropy_rows(net["entropy"]))
            for name, net in nets.items()
        ],
        "features": [("Spread and cosine by class", feature_rows(nets))],
        "regrowth": [("Regrowth by layer", (run["regrowth"] or {}).get("layers", []))],
        "change": [
            ("Accuracy by class, dense and pruned", run["classes"]),
            ("SynOps by layer, dense and pruned", run["synops"]),
        ],
    }


def _table(caption: str, rows: Sequence[Findings]) -> Findings:
    columns = list(rows[0])
    return {
        "caption": caption,
        "columns": [column.replace("_", " ") for column in columns],
        "rows": [[_cell(row[column]) for column in columns] for row in rows],
    }


def _cell(value: Any) -> TableCell:
    if isinstance(value, str):
        return TableCell(value)
    if not is_number(value):
        return TableCell("–")
    words = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}".replace("-", "−")
    return TableCell(words, value)
