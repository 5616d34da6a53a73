"""Figures 2, 3a and 6: what regrowth goes by, by which curve, how much of it, what survives."""

from collections.abc import Sequence
from dataclasses import replace

from spikeprune.lab.compare.numbers.curves import dense_level
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.reproduce.experiment import Section, Study
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.required_runs import Want, want
from spikeprune.lab.reproduce.run_tables import (
    contrast,
    in_percent,
    mean_of,
    run_table,
    shares,
    worded,
)
from spikeprune.lab.reproduce.scales import Scale
from spikeprune.pruning.options import PAPER_FRACTION

BASELINE = "magnitude"
_SCORES = ("criticality", "gradient-regrow", "random-regrow", "granet")
_CURVES = ("model", "atan", "tanh", "sigmoid", "triangle")
_VALUES = ("test_accuracy", "drop", "sparsity", "synops")
_ACCURACY = "test accuracy, %"
_POINTS = "Points: mean over the seeds; bars: sample standard deviation. "


def wants_fig2(scale: Scale) -> list[Want]:
    """Return the runs of figure 2: the baseline and every regrowth score, on two nets."""
    return [
        want(scale, setting, method, scale.target)
        for setting in scale.weights
        for method in (BASELINE, *_SCORES)
    ]


def fig2(study: Study) -> Section:
    """Return accuracy by regrowth score beside the dense net and the net without regrowth."""
    wants, charts, rows = wants_fig2(study.scale), [], []
    for place, setting in enumerate(study.scale.weights):
        own = [study.row(one) for one in wants if one.setting is setting]
        rows += own
        charts.append(
            _by_name(
                (f"fig2-{place + 1}", f"Regrowth scores: {setting.name}"),
                own,
                [row.method for row in own[1:]],
            )
        )
    return _section(rows, charts)


def wants_fig3a(scale: Scale) -> list[Want]:
    """Return the runs of figure 3a: the baseline, and criticality by every curve."""
    setting = scale.weights[0]
    return [want(scale, setting, BASELINE, scale.target)] + [
        want(scale, setting, "criticality", scale.target, **_curve(curve)) for curve in _CURVES
    ]


def _curve(curve: str) -> dict[str, str]:
    return {} if curve == "model" else {"criticality__curve": curve}


def fig3a(study: Study) -> Section:
    """Return accuracy by the curve that criticality is measured with."""
    rows = [study.row(one) for one in wants_fig3a(study.scale)]
    names = ["model's own", *_CURVES[1:]]
    chart = _by_name(("fig3a", f"Score curves: {rows[0].setting}"), rows, names)
    note = "Where the model's own surrogate is one of the named curves, the two runs are the same."
    return replace(_section(rows, [chart]), notes=(note,))


def wants_fig6(scale: Scale) -> list[Want]:
    """Return the runs of figure 6: no regrowth, and criticality with every share r."""
    setting = scale.weights[0]
    return [want(scale, setting, BASELINE, scale.target)] + [
        want(scale, setting, "criticality", scale.target, **_share(r)) for r in scale.fractions
    ]


def _share(r: float) -> dict[str, float]:
    return {} if r == PAPER_FRACTION["weight"] else {"regrow_fraction": r}


def fig6(study: Study) -> Section:
    """Return the survival of regrown weights by event, and accuracy over the share r."""
    fractions = study.scale.fractions
    rows = [study.row(one) for one in wants_fig6(study.scale)]
    survivals = {r: _survival(row) for r, row in zip(fractions, rows[1:], strict=True)}
    means, stds = shares(rows)
    charts = (
        Chart(
            "fig6-survival",
            "Survival of regrown weights",
            "Share of the weights that an event brought back that are in the kept set of the next "
            "event. Being regrown again does not count. Undefined for the last event.",
            "survival, %",
            tuple(
                Series(
                    f"r = {r:g}",
                    tuple(None if y is None else 100 * y for y in found),
                    x=tuple(float(event) for event in range(1, len(found) + 1)),
                )
                for r, found in survivals.items()
            ),
            x="pruning event",
        ),
        Chart(
            "fig6-share",
            "Accuracy over the share of regrowth r",
            _POINTS + "r = 0 is pruning without regrowth.",
            _ACCURACY,
            (Series("criticality", tuple(means), tuple(stds), x=(0.0, *fractions)),),
            x="r",
            levels=_levels(rows[:1])[:1],
        ),
    )
    mean = [worded(in_percent(row.of("survival")), ".2f") for row in rows]
    table = run_table(
        "Accuracy and survival by the share of regrowth",
        rows,
        _VALUES,
        [("mean survival, %", mean)],
    )
    numbers = {"survival_by_event": [{"r": r, "mean": list(s)} for r, s in survivals.items()]}
    return Section((table,), charts, numbers=numbers)


def _survival(row: Row) -> tuple[float | None, ...]:
    """Return the mean over seeds by event; the last event has none."""
    by_seed = [
        [event["survival"] for event in cell.metrics["regrowth"]["events"]] for cell in row.cells
    ]
    return tuple(mean_of(values).mean for values in zip(*by_seed, strict=False))[:-1]


def _by_name(words: tuple[str, str], rows: Sequence[Row], names: Sequence[str]) -> Chart:
    """Return accuracies by name beside the dense net and the first row, the baseline."""
    means, stds = shares(rows[1:])
    return Chart(
        *words,
        _POINTS + "Lines: means of the dense net and of pruning without regrowth.",
        _ACCURACY,
        (Series("test accuracy", tuple(means), tuple(stds)),),
        names=tuple(names),
        levels=_levels(rows),
    )


def _levels(rows: Sequence[Row]) -> tuple[Level, ...]:
    (baseline,), _ = shares(rows[:1])
    found = {"dense net": dense_level(rows, "test"), "no regrowth": baseline}
    return tuple(Level(name, y) for name, y in found.items() if y is not None)


def _section(rows: Sequence[Row], charts: Sequence[Chart]) -> Section:
    """Return a table of all rows with their difference to the baseline of their setting."""
    baselines = {row.setting: row for row in rows if row.method == BASELINE}
    pairs = [contrast(row, baselines[row.setting]) for row in rows]
    more = [
        ("paired difference to no regrowth, points", [pair[0] for pair in pairs]),
        ("95 % interval", [pair[1] for pair in pairs]),
    ]
    for column, place in zip(more, (0, 1), strict=True):
        for number, row in enumerate(rows):
            if row.method == BASELINE:
                column[1][number] = type(pairs[number][place])("–")
    return Section(
        (run_table("Mean ± standard deviation over the seeds", rows, _VALUES, more),), tuple(charts)
    )
