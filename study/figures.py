"""The study's figures, SVG: differences seed by seed, and accuracy over synaptic operations."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from spikeprune.lab.statistics import summarise

FOLDER = Path(__file__).parents[1] / "docs" / "images"
_MARKS = "osD^vPX*<>hp"


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


def over_synops(name, groups, dense, *, key="test_accuracy"):
    """Draw mean accuracy over mean SynOps with the deviations of both, a mark per group."""
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for number, group in enumerate(groups):
        x = summarise([v / 1000 for v in group.values("synops")])
        y = summarise([100 * v for v in group.values(key)])
        mark = {"marker": _MARKS[number % len(_MARKS)], "color": f"C{number % 10}"}
        axes.errorbar(
            *(x.mean, y.mean, y.std, x.std), **mark, capsize=2, linestyle="", label=group.label
        )
    if dense is not None:
        level = 100 * dense.mean(key)
        axes.axhline(level, color="0.4", linestyle="--", linewidth=0.8, label="dense")
    axes.set_xlabel("SynOps per sample, thousands")
    axes.set_ylabel(f"{key.split('_')[0]} accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, name)
