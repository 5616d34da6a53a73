"""Figures 3b, 4 and 5: importance of channels, and features by class."""

from collections.abc import Iterable, Mapping, Sequence

from spikeprune.lab.analysis.output.shapes import MANY_CLASSES
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.numbers.run_facts import at
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.reproduce.experiment import ExperimentInputs, ExperimentResult
from spikeprune.lab.reproduce.net_measures import Measurements, features_of, importance_of
from spikeprune.lab.reproduce.output.charts import Chart, Series
from spikeprune.lab.reproduce.required_runs import RequiredRun, required_run
from spikeprune.lab.reproduce.run_tables import mean_of, run_table, summary_cell
from spikeprune.lab.reproduce.scales import Scale, Setting

_GROUPS = {
    "only_a": "only criticality kept",
    "only_b": "only slimming kept",
    "both_in_a": "both, criticality net",
    "both_in_b": "both, slimming net",
}
_TEST = "Test data are described here: nothing is chosen by them."
_BASELINE_NOTE = "Baseline: the same pruning without regrowth (magnitude; of channels slimming)."
_NOTES = (
    _BASELINE_NOTE,
    "Accuracies on the test set by epoch exist for this figure alone. They are shown, and nothing "
    "is chosen by them: the net that is reported is the last epoch's.",
)
_METHODS = ("baseline", "criticality")
_AXES = {"variance_test": "variance per neuron", "cosine": "cosine"}


def fig3b_runs(scale: Scale) -> list[RequiredRun]:
    """Return the pair of figure 3b: channels by criticality regrowth, and without regrowth."""
    setting, share = scale.channels[-1], scale.share
    return [required_run(scale, setting, name, share) for name in ("criticality", "slimming")]


def fig3b(inputs: ExperimentInputs) -> ExperimentResult:
    """Return the importance of the channels that only one of the two nets kept."""
    ours, other = (inputs.row(run) for run in fig3b_runs(inputs.scale))
    cells = {cell.seed: cell for cell in other.cells}
    both = [cell for cell in ours.cells if cell.seed in cells]
    found = {cell.seed: importance_of(inputs, cell, cells[cell.seed]) for cell in both}
    notes = [f"Seed {s}: {one['refused']}" for s, one in found.items() if "refused" in one]
    good = [one for one in found.values() if "refused" not in one]
    importance = [mean_of(one[key]["importance"] for one in good) for key in _GROUPS]
    channels = [mean_of(one[key]["channels"] for one in good) for key in _GROUPS]
    chart = Chart(
        "fig3b",
        f"Importance of channels: {ours.setting}",
        "BatchNorm scale |γ| after fine-tuning, min-max over the whole net: mean over the channels "
        "of a group, then over the seeds.",
        "mean importance",
        (Series.of("importance", importance),),
        names=tuple(_GROUPS.values()),
    )
    lines = tuple(
        (TableCell(name), summary_cell(count, ".1f"), summary_cell(mean))
        for name, count, mean in zip(_GROUPS.values(), channels, importance, strict=True)
    )
    table = Table("Channels by who kept them", ("channels", "how many", "importance"), lines)
    runs = run_table("The two nets", [ours, other], ("test_accuracy", "drop", "synops"))
    return ExperimentResult((table, runs), (chart,), tuple(notes), {"by_seed": found})


def fig4_runs(scale: Scale) -> list[RequiredRun]:
    """Return baseline and method, of weights and of channels: the runs of figures 4 and 5."""
    return [run for pair in _pairs(scale).values() for run in pair]


def _pairs(scale: Scale) -> dict[str, list[RequiredRun]]:
    def pair(setting: Setting, baseline: str, sparsity: float) -> list[RequiredRun]:
        names = (baseline, "criticality")
        return [required_run(scale, setting, name, sparsity) for name in names]

    return {
        "unstructured": pair(scale.weights[0], "magnitude", scale.target),
        "structured": pair(scale.channels[-1], "slimming", scale.share),
    }


def fig4(inputs: ExperimentInputs) -> ExperimentResult:
    """Return spread and direction of the features, and the accuracies of every epoch."""
    spread: dict[str, list[Summary]] = {}
    cosine: dict[str, list[Summary]] = {}
    numbers: Measurements = {}
    rows: list[Row] = []
    curves: list[Chart] = []
    for kind, runs in _pairs(inputs.scale).items():
        pair = [inputs.row(run) for run in runs]
        found = [_features(inputs, row) for row in pair]
        for part in ("train", "test"):
            spread[f"{kind}, {part}"] = [_mean(one, f"variance_{part}") for one in found]
        cosine[kind] = [_mean(one, "cosine") for one in found]
        numbers |= _by_seed(kind, pair, found)
        rows += pair
        curves.append(_epoch_curves(kind, pair))
    charts = (
        _by_method(
            "fig4-variance",
            "Spread within a class",
            "Intra-cluster variance of spike counts of the last spiking layer, min-max scaled per "
            "sample: mean over classes and neurons, so that nets of other width compare. " + _TEST,
            spread,
            axis=_AXES["variance_test"],
        ),
        _by_method(
            "fig4-cosine",
            "Training against test set",
            "Cosine of a class's mean features in training and test set, mean over classes; 1: the "
            "same direction. " + _TEST,
            cosine,
            axis=_AXES["cosine"],
        ),
    )
    table = _means_table({_AXES["variance_test"]: spread, _AXES["cosine"]: cosine})
    nets = run_table("The nets", rows, ("test_accuracy", "drop"))
    return ExperimentResult((table, nets), (*charts, *curves), _NOTES, {"features": numbers})


def _means_table(quantities: Mapping[str, Mapping[str, list[Summary]]]) -> Table:
    lines = []
    for quantity, found in quantities.items():
        for nets, both in found.items():
            cells = (summary_cell(one, ".4f") for one in both)
            lines.append((TableCell(quantity), TableCell(nets), *cells))
    caption = "Mean over classes, ± standard deviation over seeds"
    return Table(caption, ("quantity", "nets", *_METHODS), tuple(lines))


def fig5(inputs: ExperimentInputs) -> ExperimentResult:
    """Return the quantities of figure 4 class by class."""
    charts: list[Chart] = []
    tables: list[Table] = []
    numbers: Measurements = {}
    for kind, runs in _pairs(inputs.scale).items():
        rows = [inputs.row(run) for run in runs]
        found = [_features(inputs, row) for row in rows]
        numbers |= _by_seed(kind, rows, found)
        names = [row["class"] for row in found[0][0]["classes"]]
        by_class = {
            key: {name: [_of_class(one, key, n) for one in found] for n, name in enumerate(names)}
            for key in ("variance_train", "variance_test", "cosine")
        }
        charts += [_class_chart(kind, key, by_class[key]) for key in ("variance_test", "cosine")]
        tables.append(_class_table(kind, by_class))
    return ExperimentResult(tuple(tables), tuple(charts), (_BASELINE_NOTE,), {"features": numbers})


def _class_chart(kind: str, key: str, by_class: Mapping[str, list[Summary]]) -> Chart:
    if key == "cosine":
        title = "Training against test set"
        caption = "Cosine of a class's mean features in training and test set."
    else:
        title = "Spread within a class"
        caption = "Variance of a class's features per neuron, test set."
    shown = dict(list(by_class.items())[:MANY_CLASSES])
    if len(shown) < len(by_class):
        caption += f" The first {len(shown)} of {len(by_class)} classes; all are in the JSON file."
    name, caption = f"fig5-{key.replace('_', '-')}-{kind}", f"{caption} {_TEST}"
    return _by_method(name, f"{title}, {kind}", caption, shown, axis=_AXES[key])


def _class_table(kind: str, by_class: Mapping[str, Mapping[str, list[Summary]]]) -> Table:
    titles = ("variance, training", "variance, test", "cosine")  # in the order of `by_class`
    lines = []
    for name in by_class["cosine"]:
        found = [one for of_class in by_class.values() for one in of_class[name]]
        lines.append((TableCell(name), *(summary_cell(one, ".4f") for one in found)))
    heads = (f"{title}, {method}" for title in titles for method in _METHODS)
    return Table(f"By class, {kind}", ("class", *heads), tuple(lines))


def _by_method(
    key: str, title: str, caption: str, found: Mapping[str, list[Summary]], *, axis: str
) -> Chart:
    series = tuple(
        Series.of(method, [both[n] for both in found.values()]) for n, method in enumerate(_METHODS)
    )
    return Chart(key, title, caption, axis, series, names=tuple(found))


def _features(inputs: ExperimentInputs, row: Row) -> list[Measurements]:
    return [features_of(inputs, cell) for cell in row.cells]


def _by_seed(kind: str, rows: Sequence[Row], found: Iterable[list[Measurements]]) -> Measurements:
    return {
        f"{kind}, {row.method}": dict(zip(map(str, row.seeds), measured, strict=True))
        for row, measured in zip(rows, found, strict=True)
    }


def _mean(seeds: Sequence[Measurements], key: str) -> Summary:
    return mean_of(_scaled(one["mean"][key], key, one) for one in seeds)


def _of_class(seeds: Sequence[Measurements], key: str, number: int) -> Summary:
    return mean_of(_scaled(one["classes"][number][key], key, one) for one in seeds)


def _scaled(value: float | None, key: str, found: Measurements) -> float | None:
    """Return a variance per neuron, and a cosine as it is."""
    return value if value is None or key == "cosine" else value / float(found["features"])


def _epoch_curves(kind: str, rows: Sequence[Row]) -> Chart:
    """Return accuracy by epoch on training and test set, mean over the seeds."""
    series = []
    for row, method in zip(rows, _METHODS, strict=True):
        histories = [read_record(cell.folder).stage("prune", "finetune") for cell in row.cells]
        epochs = tuple(float(epoch["epoch"]) for epoch in histories[0])
        for part in ("train", "test"):
            by_epoch = [
                mean_of(at(epoch, f"{part}_accuracy") for epoch in same).in_percent
                for same in zip(*histories, strict=True)
            ]
            name, dashed = f"{method}, {part}", part == "test"
            series.append(Series.of(name, by_epoch, epochs, dashed=dashed))
    return Chart(
        f"fig4-curves-{kind}",
        f"Accuracy by epoch, {kind}",
        "In eval mode, clean images, mean over the seeds. Test accuracy by epoch is recorded for "
        "this figure alone, and nothing is chosen by it.",
        "accuracy, %",
        tuple(series),
        x="epoch",
    )
