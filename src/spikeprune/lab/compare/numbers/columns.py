"""The table's columns: which numbers a row shows, and how they are written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikeprune.lab.compare.numbers.rows_and_contrasts import Contrast, Difference, Row
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.report.number_words import amount, budget_name, duration, energy

_NONE = "–"
_GAP = "\u00a0"  # what belongs together stays on one line


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: heading, with the unit where the cells have none.
        value: name of the number (see `cells.VALUES`).
        words: writes it.
        spread: whether its standard deviation is shown, as `mean ± std`.
    """

    title: str
    value: str
    words: Callable[[float], str]
    spread: bool = False

    def text(self, row: Row) -> str:
        """Return what a row shows."""
        found: Summary = row.of(self.value)
        if found.mean is None:
            return _NONE
        if not self.spread or found.std is None:
            return self.words(found.mean)
        return f"{self.words(found.mean)}{_GAP}±{_GAP}{self.words(found.std)}"


def columns(select: str) -> tuple[Column, ...]:
    """Return the columns; `select` is `test` or `validation`, the accuracy that is shown."""
    drop = "drop" if select == "test" else "validation_drop"
    return (
        Column(f"{select} accuracy, %", f"{select}_accuracy", _hundredth, spread=True),
        Column("drop against dense, points", drop, _hundredth, spread=True),
        Column("sparsity reached, %", "sparsity", _hundredth),
        Column("SynOps", "synops", amount, spread=True),
        Column("energy (model)", "energy_nj", energy),
        Column("pruning epochs", "pruning_epochs", _count),
        Column("total epochs", "total_epochs", _count),
        Column("training FLOPs", "training_flops", amount),
        Column("training FLOPs, sparse-aware", "training_flops_sparse", amount),
        Column("wall time", "wall_seconds", duration),
    )


def _hundredth(value: float) -> str:
    rounded = round(100 * value, 2) + 0.0  # without the sign of a zero
    return f"{rounded:.2f}".replace("-", "−")


def _count(value: float) -> str:
    return f"{value:g}"


def target(sparsity: float | None, budget: str | None = None) -> str:
    """Return a target sparsity in per cent, as few digits as it takes.

    What it is a share of is said where that is neither weights nor channels: `80 % fewer SynOps`.
    """
    if sparsity is None:
        return _NONE
    share = f"{round(100 * sparsity, 6):g}{_GAP}%"
    if not budget or budget in ("weights", "channels"):
        return share
    return f"{share} fewer {budget_name(budget)}"


def _targets(one: Contrast) -> str:
    """Return the target of a contrast; both, where they are shares of different things."""
    words = [target(one.sparsity, budget) for budget in one.budgets]
    return " − ".join(words) or _NONE


def name_of(row: Row, differences: Sequence[Difference]) -> str:
    """Return the method's name, marked where its runs differ from the others of its setting."""
    return row.method + "".join(f" [{number}]" for number in marks(row, differences))


def marks(row: Row, differences: Sequence[Difference]) -> list[int]:
    """Return the numbers of the differences that concern a row."""
    key = (row.setting, row.method, row.sparsity)
    return [number for number, one in enumerate(differences, start=1) if key in one.rows]


def terms(difference: Difference) -> str:
    """Return a difference in words."""
    values = ", ".join(
        f"{value} ({count} run{'s' if count > 1 else ''})" for value, count in difference.values
    )
    return f"The runs differ in {difference.fact}: {values}."


def p_word(p: float | None) -> str:
    """Return a p-value as it can be trusted: three digits, and no smaller than 0.001."""
    if p is None:
        return _NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


CONTRAST_TITLES = (
    *("contrast, a − b", "target", "n", "mean difference, points", "95 % interval"),
    *("p", "p, Holm", "SynOps, a / b", "kind", "what it allows to say"),
)
"""Headings of the table of contrasts; that of the setting comes first where there are several."""


def contrast_words(one: Contrast) -> tuple[str, ...]:
    """Return the cells of a contrast's line.

    They stand under `CONTRAST_TITLES`.
    """
    found = one.found
    mean = _NONE if found.mean is None else _signed(found.mean)
    interval = _NONE
    if found.low is not None and found.high is not None:
        interval = f"{_signed(found.low)}{_GAP}…{_GAP}{_signed(found.high)}"
    return (
        f"{one.a} − {one.b}",
        _targets(one),
        str(found.n),
        mean,
        interval,
        p_word(found.p),
        p_word(one.corrected),
        _NONE if one.synops is None else f"{one.synops:.2f}",
        "named beforehand" if one.named else "exploratory",
        _judgement(one),
    )


def contrast_values(one: Contrast) -> tuple[float | None, ...]:
    """Return the numbers that the cells of a contrast's line sort by."""
    found = one.found
    numbers = (found.n, found.mean, found.low, found.p, one.corrected, one.synops)
    return (None, one.sparsity, *numbers, None, None)


CLAIM = 10
"""Paired seeds that a claim takes (method, section 5)."""


def _judgement(one: Contrast) -> str:
    """Say what the interval allows to say, and no more."""
    found = one.found
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


def _signed(value: float) -> str:
    return f"{'+' if round(100 * value, 2) > 0 else ''}{_hundredth(value)}"
