"""The tables of weight and of channel pruning, and the cost."""

from collections.abc import Mapping, Sequence

from spikeprune.lab.compare.numbers.columns import target
from spikeprune.lab.compare.numbers.curves import AXES, curves, dense_level
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.reproduce import paper
from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE, Section, Study, Table
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.required_runs import Want, want
from spikeprune.lab.reproduce.run_tables import run_table
from spikeprune.lab.reproduce.scales import Scale

_WEIGHTS = (
    *("magnitude", "criticality", "random-regrow", "gradient-regrow", "granet", "ndsnn", "imp"),
)
_CHANNELS = ("slimming", "criticality", "random-regrow", "sca", "firing-rate", "random")
_SPENT = ("training_flops", "training_flops_sparse", "wall_seconds")
_IMP, _OWN = "imp", "imp, own budget"
_GAP = "\u00a0"


def wants_unstructured(scale: Scale) -> list[Want]:
    """Return the runs of the table of weight pruning."""
    return [
        want(scale, setting, method, sparsity)
        for setting in scale.tables
        for sparsity in scale.sparsities
        for method in _WEIGHTS
    ]


def table_unstructured(study: Study) -> Section:
    """Return epochs, accuracy and drop by method and sparsity, beside the paper's known table."""
    rows = [study.row(one) for one in wants_unstructured(study.scale)]
    values = ("pruning_epochs", "total_epochs", "test_accuracy", "drop", "sparsity", "synops")
    table = run_table("Pruning of weights", rows, values)
    charts = [
        _over(f"table-unstructured-{n + 1}", setting.name, rows)
        for n, setting in enumerate(study.scale.tables)
    ]
    beside = _beside([row for row in rows if row.setting == study.scale.tables[0].name])
    return Section((beside, table), tuple(charts))


def _beside(rows: Sequence[Row]) -> Table:
    """Return the paper's table with what was measured at the sparsity nearest to 95 %."""
    near = min({row.sparsity or 0.0 for row in rows}, key=lambda s: abs(s - 0.95))
    ours = {row.method: row for row in rows if row.sparsity == near}
    lines = []
    for known in paper.KNOWN:
        row = ours.get(known.here or "")
        here: list[Shown] = [Shown("–")] * 3
        if row is not None:
            epochs = [row.of(name).mean for name in ("pruning_epochs", "total_epochs")]
            mean = row.of("test_accuracy").mean
            here = [
                *(Shown(NOT_AVAILABLE if e is None else f"{e:g}", e) for e in epochs),
                Shown(percent(mean), mean),
            ]
        name = "no such method here" if known.here is None else known.here
        lines.append(
            (
                Shown(known.name),
                Shown(f"{known.epochs}", known.epochs),
                Shown(f"{known.accuracy:.2f}{_GAP}%", known.accuracy),
                Shown(name),
                *here,
            )
        )
    setting = rows[0].setting
    return Table(
        f"Beside the paper: CIFAR-100, ResNet19, about 95 % there; {setting}, {target(near)} here",
        (
            "paper",
            "epochs there",
            "accuracy there",
            "here",
            *(f"{k} epochs here" for k in ("pruning", "all")),
            "accuracy here",
        ),
        tuple(lines),
    )


def wants_structured(scale: Scale) -> list[Want]:
    """Return the runs of the table of channel pruning."""
    return [
        want(scale, setting, method, share)
        for setting in scale.channels
        for share in scale.shares
        for method in _CHANNELS
    ]


def table_structured(study: Study) -> Section:
    """Return size, operations and accuracy by method and share of channels."""
    rows = [study.row(one) for one in wants_structured(study.scale)]
    values = ("nonzero_parameters", "dense_macs", "synops", "test_accuracy", "drop", "total_epochs")
    charts = [
        _over(f"table-structured-{n + 1}", setting.name, rows, axis=1)
        for n, setting in enumerate(study.scale.channels)
    ]
    notes = (
        "Equal shares of channels are not equal cost: compare accuracy at equal MACs and SynOps. "
        "MACs are dense ones per sample over all T of the net that was cut.",
    )
    return Section((run_table("Pruning of channels", rows, values),), tuple(charts), notes)


def _over(key: str, setting: str, rows: Sequence[Row], axis: int = 0) -> Chart:
    """Return accuracy over sparsity (axis 0) or SynOps (1)."""
    own, over = [row for row in rows if row.setting == setting], AXES[axis]
    dense = dense_level(own, "test")
    series = [
        Series(
            curve.method,
            tuple(point.y for point in curve.points),
            tuple(point.y_std for point in curve.points),
            tuple(point.x for point in curve.points),
        )
        for curve in curves(own, over, "test")
    ]
    return Chart(
        key,
        f"Accuracy over {over.title}: {setting}",
        "Means over the seeds; bars: sample standard deviation.",
        "test accuracy, %",
        tuple(series),
        x=over.title,
        levels=() if dense is None else (Level("dense net", dense),),
    )


def wants_cost(scale: Scale) -> list[Want]:
    """Return criticality, and IMP twice: at equal total epochs, and at its own budget scaled."""
    setting = scale.tables[0]
    total = sum(setting.values["epochs"].values())
    own = {
        **{"method": "imp", **scale.imp, "imp.budget": "own", "epochs.finetune": 0},
        **{"epochs.prune": scale.imp_round, "epochs.dense": total},
    }
    runs = []
    for sparsity in scale.sparsities:
        runs += [want(scale, setting, method, sparsity) for method in ("criticality", _IMP)]
        runs.append(Want(setting, _OWN, sparsity, own))
    return runs


def cost(study: Study) -> Section:
    """Return epochs, FLOPs and wall time against IMP, and the paper's headline recomputed."""
    wants = wants_cost(study.scale)
    rows = {one.key[1:]: study.row(one) for one in wants}
    values = ("test_accuracy", "drop", "pruning_epochs", "total_epochs", *_SPENT)
    equal = [row for (name, _), row in rows.items() if name != _OWN]
    own = [row for (name, _), row in rows.items() if name != _IMP]
    notes = (
        "IMP's pruning epochs are those before its last drop, as for the other methods; the paper "
        "sets its own pruning epochs against all of IMP's.",
        f"At its own budget a round of IMP has {study.scale.imp_round} epochs where the method has "
        f"{equal[0].of('total_epochs').mean:g} in all: 300 to 500 in the original settings.",
        "Wall time is taken with other runs at work on the machine; training FLOPs compare better.",
    )
    tables = (
        _headline(),
        run_table("Cost at equal total epochs", equal, values),
        run_table("Cost with IMP at its own budget, scaled alike", own, values),
        _savings(rows, study.scale.sparsities),
    )
    return Section(tables, notes=notes)


def _headline() -> Table:
    """Return the paper's saving of epochs, recomputed from the epochs that it rests on."""
    references = [
        (f"IMP to {100 * s:g}{_GAP}%, {r} rounds", paper.imp_epochs(r))
        for s, r in paper.ROUNDS.items()
    ]
    references += [
        (known.name, known.epochs)
        for known in paper.KNOWN
        if known.here not in ("criticality", "imp")
    ]
    lines = []
    for name, epochs in dict(references).items():
        spent = (paper.PRUNING_EPOCHS, paper.PRUNING_EPOCHS + paper.FINETUNING_EPOCHS)
        less = [paper.saved(one, epochs) for one in spent]
        lines.append(
            (Shown(name), Shown(str(epochs), epochs), *(Shown(_signed(v), v) for v in less))
        )
    return Table(
        "The paper's saving, recomputed from stated epochs (nothing of it was measured here)",
        (
            *("against", "its epochs", f"less by {paper.PRUNING_EPOCHS} pruning epochs"),
            f"less with the {paper.FINETUNING_EPOCHS} of fine-tuning",
        ),
        tuple(lines),
    )


def _savings(rows: Mapping[tuple[str, float], Row], sparsities: Sequence[float]) -> Table:
    """Return what the method saves against both forms of IMP, as measured."""
    lines = []
    for sparsity in sparsities:
        ours = rows["criticality", sparsity]
        for name in (_IMP, _OWN):
            other = rows[name, sparsity]
            found = [
                _less(ours, other, ("pruning_epochs", "total_epochs")),
                *(_less(ours, other, (value, value)) for value in ("total_epochs", *_SPENT)),
            ]
            label = "imp, equal total epochs" if name == _IMP else name
            cells = (Shown(NOT_AVAILABLE if v is None else _signed(v), v) for v in found)
            lines.append((Shown(label), Shown(target(sparsity), sparsity), *cells))
    return Table(
        "What criticality saves against IMP (a minus sign: it costs more)",
        (
            *("against", "removed", "pruning epochs over all of IMP's, as in the paper"),
            *("total epochs", "training FLOPs", "FLOPs, sparse-aware", "wall time"),
        ),
        tuple(lines),
    )


def _less(row: Row, other: Row, values: tuple[str, str]) -> float | None:
    mine, theirs = row.of(values[0]).mean, other.of(values[1]).mean
    return None if mine is None or not theirs else paper.saved(mine, theirs)


def _signed(share: float) -> str:
    return f"{100 * share + 0.0:.2f}{_GAP}%".replace("-", "−")
