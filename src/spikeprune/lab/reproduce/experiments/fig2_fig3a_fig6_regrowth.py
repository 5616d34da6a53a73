"""Figures 2, 3a and 6: regrowth criteria, surrogate curves, regrowth fraction, survival."""

from collections.abc import Sequence

from spikeprune.lab.compare.numbers.curves import dense_level
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.reproduce.experiment import ExperimentInputs, ExperimentResult
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.required_runs import RequiredRun, required_run
from spikeprune.lab.reproduce.run_tables import (
    NO_VALUE,
    accuracies,
    contrast,
    mean_of,
    run_table,
    summary_cell,
)
from spikeprune.lab.reproduce.scales import Scale
from spikeprune.pruning.options import PAPER_FRACTION

BASELINE = "magnitude"
_METHODS = ("criticality", "gradient-regrow", "random-regrow", "granet")
_CURVES = ("atan", "tanh", "sigmoid", "triangle")
_VALUES = ("test_accuracy", "drop", "sparsity", "synops")
_ACCURACY = "test accuracy, %"
_POINTS = "Points: mean over the seeds; bars: sample standard deviation. "


def fig2_runs(scale: Scale) -> list[RequiredRun]:
    """Return the runs of figure 2: the baseline and every regrowth criterion, on two nets."""
    return [
        required_run(scale, setting, method, scale.target)
        for setting in scale.weights
        for method in (BASELINE, *_METHODS)
    ]


def fig2(inputs: ExperimentInputs) -> ExperimentResult:
    """Return accuracy by regrowth criterion, of the dense net, and without regrowth."""
    rows = [inputs.row(run) for run in fig2_runs(inputs.scale)]
    charts = []
    for number, setting in enumerate(inputs.scale.weights, start=1):
        own = [row for row in rows if row.setting == setting.name]
        names = [row.method for row in own[1:]]
        charts.append(_by_name(f"fig2-{number}", f"Regrowth criteria: {setting.name}", own, names))
    return ExperimentResult((_against_baseline(rows),), tuple(charts))


def fig3a_runs(scale: Scale) -> list[RequiredRun]:
    """Return the runs of figure 3a: the baseline, and criticality with every surrogate curve."""
    setting, target = scale.weights[0], scale.target
    baseline = required_run(scale, setting, BASELINE, target)
    own = required_run(scale, setting, "criticality", target)
    named = [
        required_run(scale, setting, "criticality", target, criticality__curve=curve)
        for curve in _CURVES
    ]
    return [baseline, own, *named]


def fig3a(inputs: ExperimentInputs) -> ExperimentResult:
    """Return accuracy by the surrogate curve of the criticality."""
    rows = [inputs.row(run) for run in fig3a_runs(inputs.scale)]
    names = ["model's own", *_CURVES]
    chart = _by_name("fig3a", f"Score curves: {rows[0].setting}", rows, names)
    note = "Where the model's own surrogate is one of the named curves, the two runs are the same."
    return ExperimentResult((_against_baseline(rows),), (chart,), (note,))


def fig6_runs(scale: Scale) -> list[RequiredRun]:
    """Return the runs of figure 6: no regrowth, and criticality with every regrowth fraction."""
    setting, target = scale.weights[0], scale.target
    runs = [required_run(scale, setting, BASELINE, target)]
    for fraction in scale.fractions:
        named = {} if fraction == PAPER_FRACTION["weight"] else {"regrow_fraction": fraction}
        runs.append(required_run(scale, setting, "criticality", target, **named))
    return runs


def fig6(inputs: ExperimentInputs) -> ExperimentResult:
    """Return the survival of regrown weights by event, and accuracy over the fraction r."""
    fractions = inputs.scale.fractions
    rows = [inputs.row(run) for run in fig6_runs(inputs.scale)]
    survivals = {r: _survival(row) for r, row in zip(fractions, rows[1:], strict=True)}
    survival = Chart(
        "fig6-survival",
        "Survival of regrown weights",
        "Share of the weights that an event brought back that are in the kept set of the next "
        "event. Being regrown again does not count. Undefined for the last event.",
        "survival, %",
        tuple(_survival_series(r, found) for r, found in survivals.items()),
        x="pruning event",
    )
    accuracy = Chart(
        "fig6-share",
        "Accuracy over the share of regrowth r",
        _POINTS + "r = 0 is pruning without regrowth.",
        _ACCURACY,
        (Series.of("criticality", accuracies(rows), (0.0, *fractions)),),
        x="r",
        levels=_levels(rows[:1])[:1],
    )
    means = [summary_cell(row.summary("survival").in_percent, ".2f") for row in rows]
    caption, more = "Accuracy and survival by the share of regrowth", ("mean survival, %", means)
    table = run_table(caption, rows, _VALUES, [more])
    numbers = {"survival_by_event": [{"r": r, "mean": list(s)} for r, s in survivals.items()]}
    return ExperimentResult((table,), (survival, accuracy), numbers=numbers)


def _survival(row: Row) -> tuple[float | None, ...]:
    """Return the mean over seeds by event, without the last event."""
    events = [(cell.metrics.get("regrowth") or {}).get("events", []) for cell in row.cells]
    by_seed = [[event["survival"] for event in one] for one in events]
    return tuple(mean_of(values).mean for values in zip(*by_seed, strict=False))[:-1]


def _survival_series(fraction: float, survival: Sequence[float | None]) -> Series:
    return Series(
        f"r = {fraction:g}",
        tuple(None if y is None else 100 * y for y in survival),
        x=tuple(float(event) for event in range(1, len(survival) + 1)),
    )


def _by_name(key: str, title: str, rows: Sequence[Row], names: Sequence[str]) -> Chart:
    """Return accuracies by name; the first row is the baseline, drawn as a line."""
    return Chart(
        key,
        title,
        _POINTS + "Lines: means of the dense net and of pruning without regrowth.",
        _ACCURACY,
        (Series.of("test accuracy", accuracies(rows[1:])),),
        names=tuple(names),
        levels=_levels(rows),
    )


def _levels(rows: Sequence[Row]) -> tuple[Level, ...]:
    found = {"dense net": dense_level(rows, "test"), "no regrowth": accuracies(rows[:1])[0].mean}
    return tuple(Level(name, y) for name, y in found.items() if y is not None)


def _against_baseline(rows: Sequence[Row]) -> Table:
    """Return the table of all rows, with the paired difference to the baseline of the setting."""
    baselines = {row.setting: row for row in rows if row.method == BASELINE}
    pairs = [
        (NO_VALUE, NO_VALUE) if row.method == BASELINE else contrast(row, baselines[row.setting])
        for row in rows
    ]
    more = [
        ("paired difference to no regrowth, points", [difference for difference, _ in pairs]),
        ("95 % interval", [interval for _, interval in pairs]),
    ]
    return run_table("Mean ± standard deviation over the seeds", rows, _VALUES, more)
