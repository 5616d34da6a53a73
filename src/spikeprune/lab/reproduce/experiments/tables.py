"""The tables of weight pruning, of channel pruning, and of the cost."""

from collections.abc import Callable, Mapping, Sequence

from spikeprune.lab.compare.numbers.columns import target
from spikeprune.lab.compare.numbers.curves import AXES, Axis, curves, dense_level
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.reproduce import paper
from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE, ExperimentInputs, ExperimentResult
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.required_runs import RequiredRun, required_run
from spikeprune.lab.reproduce.run_tables import NO_VALUE, run_table
from spikeprune.lab.reproduce.scales import Scale, Setting

_WEIGHTS = (
    "magnitude",
    "criticality",
    "random-regrow",
    "gradient-regrow",
    "granet",
    "ndsnn",
    "imp",
)
_CHANNELS = ("slimming", "criticality", "random-regrow", "sca", "firing-rate", "random")
_SPENT = ("training_flops", "training_flops_sparse", "wall_seconds")
_IMP, _OWN = "imp", "imp, own budget"
_GAP = "\u00a0"


def unstructured_runs(scale: Scale) -> list[RequiredRun]:
    """Return the runs of the table of weight pruning."""
    return _grid(scale, scale.tables, scale.sparsities, _WEIGHTS)


def structured_runs(scale: Scale) -> list[RequiredRun]:
    """Return the runs of the table of channel pruning."""
    return _grid(scale, scale.channels, scale.shares, _CHANNELS)


def _grid(
    scale: Scale, settings: Sequence[Setting], sparsities: Sequence[float], methods: Sequence[str]
) -> list[RequiredRun]:
    return [
        required_run(scale, setting, method, sparsity)
        for setting in settings
        for sparsity in sparsities
        for method in methods
    ]


def table_unstructured(inputs: ExperimentInputs) -> ExperimentResult:
    """Return epochs, accuracy and drop by method and sparsity, beside the paper's known table."""
    rows = [inputs.row(run) for run in unstructured_runs(inputs.scale)]
    values = ("pruning_epochs", "total_epochs", "test_accuracy", "drop", "sparsity", "synops")
    table = run_table("Pruning of weights", rows, values)
    settings = inputs.scale.tables
    charts = _accuracy_over(AXES[0], "table-unstructured", settings, rows)
    beside = _beside([row for row in rows if row.setting == settings[0].name])
    return ExperimentResult((beside, table), charts)


def _beside(rows: Sequence[Row]) -> Table:
    """Return the paper's table beside our runs at the sparsity nearest to 95 %."""
    near = min({row.sparsity or 0.0 for row in rows}, key=lambda s: abs(s - 0.95))
    ours = {row.method: row for row in rows if row.sparsity == near}
    lines = []
    for known in paper.KNOWN:
        row = ours.get(known.here or "")
        line = {
            "paper": TableCell(known.name),
            "epochs there": TableCell(f"{known.epochs}", known.epochs),
            "accuracy there": TableCell(f"{known.accuracy:.2f}{_GAP}%", known.accuracy),
            "here": TableCell(known.here or "no such method here"),
            "pruning epochs here": _mean_cell(row, "pruning_epochs", "{:g}".format),
            "all epochs here": _mean_cell(row, "total_epochs", "{:g}".format),
            "accuracy here": _mean_cell(row, "test_accuracy", percent),
        }
        lines.append(line)
    here = f"{rows[0].setting}, {target(near)} here"
    return Table.of(f"Beside the paper: CIFAR-100, ResNet19, about 95 % there; {here}", lines)


def _mean_cell(row: Row | None, value: str, words: Callable[[float], str]) -> TableCell:
    """Return the mean of a measurement; a dash if there is no such row."""
    if row is None:
        return NO_VALUE
    mean = row.summary(value).mean
    return TableCell(NOT_AVAILABLE if mean is None else words(mean), mean)


def table_structured(inputs: ExperimentInputs) -> ExperimentResult:
    """Return size, operations and accuracy by method and share of channels."""
    rows = [inputs.row(run) for run in structured_runs(inputs.scale)]
    values = ("nonzero_parameters", "dense_macs", "synops", "test_accuracy", "drop", "total_epochs")
    charts = _accuracy_over(AXES[1], "table-structured", inputs.scale.channels, rows)
    notes = (
        "Equal shares of channels are not equal cost: compare accuracy at equal MACs and SynOps. "
        "MACs are dense ones per sample over all T of the net that was cut.",
    )
    return ExperimentResult((run_table("Pruning of channels", rows, values),), charts, notes)


def _accuracy_over(
    axis: Axis, key: str, settings: Sequence[Setting], rows: Sequence[Row]
) -> tuple[Chart, ...]:
    """Return a chart per setting: accuracy over sparsity or over SynOps."""
    charts = []
    for number, setting in enumerate(settings, start=1):
        own = [row for row in rows if row.setting == setting.name]
        dense = dense_level(own, "test")
        series = []
        for curve in curves(own, axis, "test"):
            x, y, std = zip(*((p.x, p.y, p.y_std) for p in curve.points), strict=True)
            series.append(Series(curve.method, y, std, x))
        chart = Chart(
            f"{key}-{number}",
            f"Accuracy over {axis.title}: {setting.name}",
            "Means over the seeds; bars: sample standard deviation.",
            "test accuracy, %",
            tuple(series),
            x=axis.title,
            levels=() if dense is None else (Level("dense net", dense),),
        )
        charts.append(chart)
    return tuple(charts)


def cost_runs(scale: Scale) -> list[RequiredRun]:
    """Return criticality, and IMP twice: at equal total epochs, and at its own scaled budget."""
    setting = scale.tables[0]
    own = {
        "method": "imp",
        **scale.imp,
        "imp.budget": "own",
        "epochs.finetune": 0,
        "epochs.prune": scale.imp_round,
        "epochs.dense": sum(setting.values["epochs"].values()),
    }
    runs = []
    for sparsity in scale.sparsities:
        runs += [required_run(scale, setting, method, sparsity) for method in ("criticality", _IMP)]
        runs.append(RequiredRun(setting, _OWN, sparsity, own))
    return runs


def cost(inputs: ExperimentInputs) -> ExperimentResult:
    """Return epochs, FLOPs and wall time against IMP, and the paper's headline recomputed."""
    rows = {(run.label, run.sparsity): inputs.row(run) for run in cost_runs(inputs.scale)}
    values = ("test_accuracy", "drop", "pruning_epochs", "total_epochs", *_SPENT)
    equal = [row for (name, _), row in rows.items() if name != _OWN]
    own = [row for (name, _), row in rows.items() if name != _IMP]
    notes = (
        "IMP's pruning epochs are those before its last drop, as for the other methods; the paper "
        "sets its own pruning epochs against all of IMP's.",
        f"At its own budget a round of IMP has {inputs.scale.imp_round} epochs where the method "
        f"has {equal[0].summary('total_epochs').mean:g} in all: 300 to 500 in the original "
        "settings.",
        "Wall time is taken with other runs at work on the machine; training FLOPs compare better.",
    )
    tables = (
        _headline(),
        run_table("Cost at equal total epochs", equal, values),
        run_table("Cost with IMP at its own, scaled budget", own, values),
        _savings(rows, inputs.scale.sparsities),
    )
    return ExperimentResult(tables, notes=notes)


def _headline() -> Table:
    """Return the paper's saving of epochs, recomputed from the epochs that it rests on."""
    references = {
        f"IMP to {100 * sparsity:g}{_GAP}%, {rounds} rounds": paper.imp_epochs(rounds)
        for sparsity, rounds in paper.ROUNDS.items()
    }
    for known in paper.KNOWN:
        if known.here not in ("criticality", "imp"):
            references[known.name] = known.epochs
    pruning, total = paper.PRUNING_EPOCHS, paper.PRUNING_EPOCHS + paper.FINETUNING_EPOCHS
    with_finetuning = f"less with the {paper.FINETUNING_EPOCHS} of fine-tuning"
    lines = [
        {
            "against": TableCell(name),
            "its epochs": TableCell(str(epochs), epochs),
            f"less by {pruning} pruning epochs": _saving_cell(paper.saved(pruning, epochs)),
            with_finetuning: _saving_cell(paper.saved(total, epochs)),
        }
        for name, epochs in references.items()
    ]
    return Table.of(
        "The paper's saving, recomputed from stated epochs (nothing of it was measured here)", lines
    )


def _savings(rows: Mapping[tuple[str, float], Row], sparsities: Sequence[float]) -> Table:
    lines = []
    for sparsity in sparsities:
        ours = rows["criticality", sparsity]
        for name, label in ((_IMP, "imp, equal total epochs"), (_OWN, _OWN)):
            other = rows[name, sparsity]
            line = {
                "against": TableCell(label),
                "removed": TableCell(target(sparsity), sparsity),
                "pruning epochs over all of IMP's, as in the paper": _saving(
                    ours, other, "pruning_epochs", over="total_epochs"
                ),
                "total epochs": _saving(ours, other, "total_epochs"),
                "training FLOPs": _saving(ours, other, "training_flops"),
                "FLOPs, sparse-aware": _saving(ours, other, "training_flops_sparse"),
                "wall time": _saving(ours, other, "wall_seconds"),
            }
            lines.append(line)
    return Table.of("What criticality saves against IMP (a minus sign: it costs more)", lines)


def _saving(row: Row, other: Row, value: str, *, over: str = "") -> TableCell:
    """Return the saving of a measurement against that, or another one, of the other row."""
    spent, reference = row.summary(value).mean, other.summary(over or value).mean
    if spent is None or not reference:
        return TableCell(NOT_AVAILABLE)
    return _saving_cell(paper.saved(spent, reference))


def _saving_cell(share: float) -> TableCell:
    return TableCell(f"{100 * share + 0.0:.2f}{_GAP}%".replace("-", "−"), share)
