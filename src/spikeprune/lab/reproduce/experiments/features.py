"""Figures 3b, 4 and 5: importance of channels, and features by class, of method and baseline."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from spikeprune.lab.analysis.output.shapes import MANY_CLASSES
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.numbers.run_facts import at
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.run_record import Row as Values
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.reproduce.experiment import Section, Study, Table
from spikeprune.lab.reproduce.net_measures import features_of, importance_of
from spikeprune.lab.reproduce.output.charts import Chart, Series
from spikeprune.lab.reproduce.required_runs import Want, want
from spikeprune.lab.reproduce.run_tables import in_percent, mean_of, run_table, worded
from spikeprune.lab.reproduce.scales import Scale

_GROUPS = {
    "only_a": "only criticality kept",
    "only_b": "only slimming kept",
    "both_in_a": "both, criticality net",
    "both_in_b": "both, slimming net",
}
_PARTS = {"variance_train": "train", "variance_test": "test"}
Columns = Mapping[tuple[str, str], list[Summary]]
_TEST = "Test data are described here: nothing is chosen by them."


def wants_fig3b(scale: Scale) -> list[Want]:
    """Return the pair of figure 3b: channels by criticality regrowth, and without."""
    setting = scale.channels[-1]
    return [want(scale, setting, method, scale.share) for method in ("criticality", "slimming")]


def fig3b(study: Study) -> Section:
    """Return the importance of the channels that only one of the two nets kept."""
    ours, other = (study.row(one) for one in wants_fig3b(study.scale))
    cells = {cell.seed: cell for cell in other.cells}
    pairs = [(a, cells[a.seed]) for a in ours.cells if a.seed in cells]
    found = {a.seed: importance_of(study, a, b) for a, b in pairs}
    notes = [f"Seed {s}: {one['refused']}" for s, one in found.items() if "refused" in one]
    good = [one for one in found.values() if "refused" not in one]
    lines, means = [], []
    for key, name in _GROUPS.items():
        importance = mean_of(one[key]["importance"] for one in good)
        channels = mean_of(one[key]["channels"] for one in good)
        means.append(importance)
        lines.append((Shown(name), worded(channels, ".1f"), worded(importance)))
    chart = Chart(
        "fig3b",
        f"Importance of channels: {ours.setting}",
        "BatchNorm scale |γ| after fine-tuning, min-max over the whole net: mean over the channels "
        "of a group, then over the seeds.",
        "mean importance",
        (Series("importance", _means(means), _stds(means)),),
        names=tuple(_GROUPS.values()),
    )
    table = Table("Channels by who kept them", ("channels", "how many", "importance"), tuple(lines))
    runs = run_table("The two nets", [ours, other], ("test_accuracy", "drop", "synops"))
    return Section((table, runs), (chart,), tuple(notes), {"by_seed": found})


def wants_fig4(scale: Scale) -> list[Want]:
    """Return baseline and method, of weights and of channels: the runs of figures 4 and 5."""
    return [one for _, pair in _kinds(scale) for one in pair]


def _kinds(scale: Scale) -> list[tuple[str, tuple[Want, Want]]]:
    weights, channels = scale.weights[0], scale.channels[-1]
    return [
        (
            "unstructured",
            (
                want(scale, weights, "magnitude", scale.target),
                want(scale, weights, "criticality", scale.target),
            ),
        ),
        (
            "structured",
            (
                want(scale, channels, "slimming", scale.share),
                want(scale, channels, "criticality", scale.share),
            ),
        ),
    ]


def fig4(study: Study) -> Section:
    """Return spread and direction of the features, and the accuracies of every epoch."""
    kinds = [(kind, [study.row(one) for one in pair]) for kind, pair in _kinds(study.scale)]
    found = {kind: [_features(study, row) for row in rows] for kind, rows in kinds}
    sides = ("baseline", "criticality")
    spread, cosine = {}, {}
    for kind, both in found.items():
        for key, part in _PARTS.items():
            spread[f"{kind}, {part}"] = [_mean(one, key, _per_neuron) for one in both]
        cosine[kind] = [_mean(one, "cosine", _plain) for one in both]
    charts = [
        _sides(
            ("fig4-variance", "Spread within a class"),
            (
                "variance per neuron",
                "Intra-cluster variance of spike counts of the last spiking "
                "layer, min-max scaled per sample: mean over classes and neurons, so that nets of "
                f"other width compare. {_TEST}",
            ),
            spread,
            sides,
        ),
        _sides(
            ("fig4-cosine", "Training against test set"),
            (
                "cosine",
                f"Cosine of a class's mean features in training and test set, mean over "
                f"classes; 1: the same direction. {_TEST}",
            ),
            cosine,
            sides,
        ),
        *(_curves(kind, rows, sides) for kind, rows in kinds),
    ]
    lines = [
        (Shown(quantity), Shown(name), *(worded(one, ".4f") for one in both))
        for quantity, rows in (("variance per neuron", spread), ("cosine", cosine))
        for name, both in rows.items()
    ]
    titles = ("quantity", "nets", *sides)
    table = Table("Mean over classes, ± standard deviation over seeds", titles, tuple(lines))
    runs = run_table("The nets", [r for _, rows in kinds for r in rows], ("test_accuracy", "drop"))
    return Section((table, runs), tuple(charts), _NOTES, {"features": _by_seed(kinds, found)})


_NOTES = (
    "Baseline: the same pruning without regrowth (magnitude; of channels slimming).",
    "Accuracies on the test set by epoch exist for this figure alone. They are shown, and nothing "
    "is chosen by them: the net that is reported is the last epoch's.",
)


def fig5(study: Study) -> Section:
    """Return the same quantities class by class."""
    charts: list[Chart] = []
    tables: list[Table] = []
    numbers: Values = {}
    for kind, pair in _kinds(study.scale):
        rows = [study.row(one) for one in pair]
        found = [_features(study, row) for row in rows]
        numbers |= _by_seed([(kind, rows)], {kind: found})
        names = [row["class"] for row in found[0][0]["classes"]]
        columns = {
            (key, side): [_of_class(one, key, n) for n in range(len(names))]
            for key in ("variance_train", "variance_test", "cosine")
            for side, one in zip(("baseline", "criticality"), found, strict=True)
        }
        charts += [_classes(kind, key, names, columns) for key in ("variance_test", "cosine")]
        tables.append(_class_table(kind, names, columns))
    return Section(tuple(tables), tuple(charts), _NOTES[:1], {"features": numbers})


def _classes(kind: str, key: str, names: Sequence[str], columns: Columns) -> Chart:
    shown = names[:MANY_CLASSES]
    what = {"cosine": "Training against test set", "variance_test": "Spread within a class"}[key]
    caption = {
        "cosine": "Cosine of a class's mean features in training and test set.",
        "variance_test": "Variance of a class's features per neuron, test set.",
    }[key]
    if len(shown) < len(names):
        caption += f" The first {len(shown)} of {len(names)} classes; all are in the JSON file."
    found = {
        n: [columns[key, s][i] for s in ("baseline", "criticality")] for i, n in enumerate(shown)
    }
    return _sides(
        (f"fig5-{key.replace('_', '-')}-{kind}", f"{what}, {kind}"),
        ("cosine" if key == "cosine" else "variance per neuron", f"{caption} {_TEST}"),
        found,
        ("baseline", "criticality"),
    )


def _class_table(kind: str, names: Sequence[str], columns: Columns) -> Table:
    titles = {"variance_train": "variance, training", "variance_test": "variance, test"}
    heads = tuple(f"{titles.get(key, key)}, {side}" for key, side in columns)
    lines = tuple(
        (Shown(name), *(worded(column[n], ".4f") for column in columns.values()))
        for n, name in enumerate(names)
    )
    return Table(f"By class, {kind}", ("class", *heads), lines)


def _features(study: Study, row: Row) -> list[Values]:
    return [features_of(study, cell) for cell in row.cells]


def _by_seed(
    kinds: Iterable[tuple[str, Sequence[Row]]], found: Mapping[str, list[list[Values]]]
) -> Values:
    return {
        f"{kind}, {row.method}": {
            str(cell.seed): one for cell, one in zip(row.cells, values, strict=True)
        }
        for kind, rows in kinds
        for row, values in zip(rows, found[kind], strict=True)
    }


def _per_neuron(value: float, found: Values) -> float:
    return value / float(found["features"])


def _plain(value: float, found: Values) -> float:
    return value


def _mean(seeds: Sequence[Values], key: str, scaled: Callable[[float, Values], float]) -> Summary:
    values = [(one["mean"][key], one) for one in seeds]
    return mean_of(None if value is None else scaled(value, one) for value, one in values)


def _of_class(seeds: Sequence[Values], key: str, number: int) -> Summary:
    scaled = _plain if key == "cosine" else _per_neuron
    values = [(one["classes"][number][key], one) for one in seeds]
    return mean_of(None if value is None else scaled(value, one) for value, one in values)


def _sides(
    title: tuple[str, str],
    words: tuple[str, str],
    found: dict[str, list[Summary]],
    sides: Sequence[str],
) -> Chart:
    """Return a row per name with a mark per side; `words`: the axis, and the caption."""
    series = tuple(
        Series(
            side,
            _means(both[n] for both in found.values()),
            _stds(both[n] for both in found.values()),
        )
        for n, side in enumerate(sides)
    )
    return Chart(*title, words[1], words[0], series, names=tuple(found))


def _curves(kind: str, rows: Sequence[Row], sides: Sequence[str]) -> Chart:
    """Return accuracy by epoch on training and test set, mean over the seeds."""
    series = []
    for row, side in zip(rows, sides, strict=True):
        histories = [read_record(cell.folder).stage("prune", "finetune") for cell in row.cells]
        epochs = [float(epoch["epoch"]) for epoch in histories[0]]
        for part in ("train", "test"):
            by_epoch = zip(
                *([at(e, f"{part}_accuracy") for e in one] for one in histories), strict=True
            )
            means = [in_percent(mean_of(values)) for values in by_epoch]
            series.append(
                Series(
                    f"{side}, {part}", _means(means), _stds(means), tuple(epochs), part == "test"
                )
            )
    return Chart(
        f"fig4-curves-{kind}",
        f"Accuracy by epoch, {kind}",
        "In eval mode, clean images, mean over the seeds. Test accuracy by epoch is recorded for "
        "this figure alone, and nothing is chosen by it.",
        "accuracy, %",
        tuple(series),
        x="epoch",
    )


def _means(found: Iterable[Summary]) -> tuple[float | None, ...]:
    return tuple(one.mean for one in found)


def _stds(found: Iterable[Summary]) -> tuple[float | None, ...]:
    return tuple(one.std for one in found)
