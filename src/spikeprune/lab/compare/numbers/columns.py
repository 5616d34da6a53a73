"""The columns of the tables: their titles, texts, and the numbers that they sort by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spikeprune.lab.compare.numbers.rows_and_contrasts import DEAD, Contrast, Difference, Row
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.report.number_words import amount, budget_name, duration, energy, size

NONE = "–"  # a cell without a number
_GAP = "\u00a0"  # keeps a number and its unit on one line
CLAIM = 10  # paired seeds that a claim requires (method, section 5)


def mean_and_spread(summary: Summary, words: Callable[[float], str]) -> str:
    """Return `mean ± standard deviation`, the mean alone without a deviation, or a dash."""
    if summary.mean is None:
        return NONE
    if summary.std is None:
        return words(summary.mean)
    return f"{words(summary.mean)}{_GAP}±{_GAP}{words(summary.std)}"


@dataclass(frozen=True)
class Column:
    """A column of the table of rows."""

    title: str  # heading, with the unit if the texts have none
    value: str  # name of the measurement (see `Cell.values`)
    words: Callable[[float], str]  # writes a number
    spread: bool = False  # whether the standard deviation is shown

    def text(self, row: Row) -> str:
        """Return the text of a row."""
        found = row.summary(self.value)
        shown = found if self.spread else replace(found, std=None)
        return mean_and_spread(shown, self.words)


def columns(select: str) -> tuple[Column, ...]:
    """Return the columns; `select` is the accuracy that is shown, `test` or `validation`."""
    drop = "drop" if select == "test" else "validation_drop"
    return (
        Column(f"{select} accuracy, %", f"{select}_accuracy", _hundredth, spread=True),
        Column("drop against dense, points", drop, _hundredth, spread=True),
        Column("sparsity reached, %", "sparsity", _hundredth),
        Column("SynOps", "synops", amount, spread=True),
        Column("energy (model)", "energy_nj", energy),
        Column("stored, fp32", "bytes", size),
        Column("pruning epochs", "pruning_epochs", "{:g}".format),
        Column("total epochs", "total_epochs", "{:g}".format),
        Column("training FLOPs", "training_flops", amount),
        Column("training FLOPs, sparse-aware", "training_flops_sparse", amount),
        Column("wall time", "wall_seconds", duration),
    )


def _hundredth(value: float) -> str:
    rounded = round(100 * value, 2) + 0.0  # without the sign of a zero
    return f"{rounded:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{'+' if round(100 * value, 2) > 0 else ''}{_hundredth(value)}"


def target(sparsity: float | None, budget: str | None = None) -> str:
    """Return a target in per cent; budgets other than weights and channels are named."""
    if sparsity is None:
        return NONE
    share = f"{round(100 * sparsity, 6):g}{_GAP}%"
    if not budget or budget in ("weights", "channels"):
        return share
    return f"{share} {'less' if budget == 'energy' else 'fewer'} {budget_name(budget)}"


def name_of(row: Row, differences: Sequence[Difference]) -> str:
    """Return the name of the method, the mark of a dead net, and the numbers of differences."""
    numbered = enumerate(differences, start=1)
    mark = f" {DEAD}" if row.dead else ""
    return row.method + mark + "".join(f" [{n}]" for n, one in numbered if row.key in one.rows)


def difference_words(difference: Difference) -> str:
    """Return a difference as a sentence."""
    values = ", ".join(
        f"{value} ({count} run{'s' if count > 1 else ''})" for value, count in difference.values
    )
    return f"The runs differ in {difference.fact}: {values}."


def p_word(p: float | None) -> str:
    """Return a p-value with three digits, and none below 0.001."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


@dataclass(frozen=True)
class ContrastColumn:
    """A column of the table of contrasts: its title, and text and sort value of a contrast."""

    title: str
    text: Callable[[Contrast], str]
    value: Callable[[Contrast], float | None] = lambda one: None


def _targets(one: Contrast) -> str:
    return " − ".join(target(one.sparsity, budget) for budget in one.budgets) or NONE


def mean_difference(one: Contrast) -> str:
    """Return the mean difference of a contrast in points, with its sign."""
    return NONE if one.paired.mean is None else _signed(one.paired.mean)


def interval(one: Contrast) -> str:
    """Return the interval of a contrast in points."""
    low, high = one.paired.low, one.paired.high
    return NONE if low is None or high is None else f"{_signed(low)}{_GAP}…{_GAP}{_signed(high)}"


def _judgement(one: Contrast) -> str:
    found = one.paired
    if found.n == 0:
        return "no seed in common"
    if found.n == 1:
        return "one seed: no interval"
    if found.low is None or found.high is None:
        return "all differences equal: no interval"
    side = "excludes 0" if found.low > 0 or found.high < 0 else "holds 0"
    if found.n < CLAIM or not one.named:
        return f"{side}; enough to explore, not to claim"
    return side


CONTRAST_COLUMNS = (
    ContrastColumn("contrast, a − b", lambda one: f"{one.a} − {one.b}"),
    ContrastColumn("target", _targets, lambda one: one.sparsity),
    ContrastColumn("n", lambda one: str(one.paired.n), lambda one: one.paired.n),
    ContrastColumn("mean difference, points", mean_difference, lambda one: one.paired.mean),
    ContrastColumn("95 % interval", interval, lambda one: one.paired.low),
    ContrastColumn("p", lambda one: p_word(one.paired.p), lambda one: one.paired.p),
    ContrastColumn("p, Holm", lambda one: p_word(one.corrected), lambda one: one.corrected),
    ContrastColumn(
        "SynOps, a / b",
        lambda one: NONE if one.synops is None else f"{one.synops:.2f}",
        lambda one: one.synops,
    ),
    ContrastColumn("kind", lambda one: "named beforehand" if one.named else "exploratory"),
    ContrastColumn("what it allows to say", _judgement),
)
