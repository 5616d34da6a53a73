"""The study's figures, SVG: differences seed by seed, accuracy over sparsity and over SynOps."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from spikeprune.lab.compare.numbers.statistics import summarise
from study.groups import Contrast

FOLDER = Path(__file__).parents[1] / "docs" / "images"
_MARKS = "osD^vP"


def _save(figure, name):
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(FOLDER / f"study-{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def differences(name, contrasts, title):
    """Draw the differences of every seed, their mean and its interval, a line per contrast."""
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.55 * len(contrasts)))
    for y, contrast in enumerate(reversed(contrasts)):
        found = contrast.paired
        axes.plot(contrast.differences, [y] * found.n, "o", color="0.65", markersize=4)
        if found.low is not None:
            axes.plot([found.low, found.high], [y + 0.18] * 2, color="C0", linewidth=2)
        axes.plot(found.mean, y + 0.18, "D", color="C0", markersize=5)
    labels = [contrast.words_of_pair for contrast in reversed(contrasts)]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.5, len(labels) - 0.2)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(title)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, name)


def _beside(axes, dense, key):
    """Draw the level of the dense net, and say what accuracy it is."""
    level = 100 * dense.mean(key)
    axes.axhline(level, color="0.4", linestyle="--", linewidth=0.8)
    axes.annotate("dense", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_ylabel(f"{key.split('_')[0]} accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)


def over_sparsity(name, tables, dense, base, *, key="test_accuracy"):
    """Draw mean accuracy over sparsity, a line a method, and below it what each has above `base`.

    Densities are on a logarithmic axis; bars are deviations, below those of paired differences.
    """
    figure, (top, below) = plt.subplots(2, 1, figsize=(7, 6.4), sharex=True)
    methods = sorted({group.label for rows in tables for group in rows})
    for number, method in enumerate(methods):
        apart = 1 + 0.015 * (number - len(methods) / 2)  # bars side by side
        how = {"marker": "o", "markersize": 4, "capsize": 2, "color": f"C{number}"}
        pairs = [
            (group, next(other for other in rows if other.label == base))
            for rows in tables
            for group in rows
            if group.label == method
        ]
        x = [(1 - group.sparsity) * apart for group, _ in pairs]
        y = [summarise([100 * v for v in group.values(key)]) for group, _ in pairs]
        top.errorbar(x, [v.mean for v in y], [v.std for v in y], label=method, **how)
        if method == base:
            continue
        gaps = [summarise(Contrast(group, other, key).differences) for group, other in pairs]
        below.errorbar(x, [v.mean for v in gaps], [v.std for v in gaps], **how)
    targets = sorted({group.sparsity for rows in tables for group in rows})
    below.set_xscale("log")
    below.invert_xaxis()
    below.set_xticks([1 - s for s in targets], [f"{100 * s:g} %" for s in targets])
    below.minorticks_off()
    below.axhline(0, color="0.4", linestyle="--", linewidth=0.8)
    below.set_ylabel(f"minus {base}, points")
    below.set_xlabel("sparsity")
    below.spines[["top", "right"]].set_visible(False)
    _beside(top, dense, key)
    top.legend(frameon=False, fontsize=8, loc="lower left")
    _save(figure, name)


def over_synops(name, tables, dense, *, key="test_accuracy"):
    """Draw mean accuracy over mean SynOps, with deviations; a colour a method, a mark a table."""
    figure, axes = plt.subplots(figsize=(7, 4.6))
    methods = sorted({group.label for rows in tables.values() for group in rows})
    colours = {method: f"C{number}" for number, method in enumerate(methods)}
    for mark, rows in zip(_MARKS, tables.values(), strict=False):
        for group in rows:
            x = summarise([v / 1000 for v in group.values("synops")])
            y = summarise([100 * v for v in group.values(key)])
            how = {"marker": mark, "color": colours[group.label], "capsize": 2, "linestyle": ""}
            axes.errorbar(x.mean, y.mean, y.std, x.std, **how)
    _beside(axes, dense, key)
    axes.set_xlabel("SynOps per sample, thousands")
    entries = [Line2D([], [], color=colour, linewidth=4) for colour in colours.values()]
    marks = [Line2D([], [], marker=m, color="0.3", linestyle="") for m in _MARKS[: len(tables)]]
    labels = [*methods, *tables]
    place = {"frameon": False, "fontsize": 8, "loc": "center left", "bbox_to_anchor": (1, 0.5)}
    axes.legend([*entries, *marks], labels, **place)
    _save(figure, name)
