"""The numbers of a comparison: rows of means, paired contrasts, and in what the runs differ."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.run_facts import FACTS
from spikeprune.lab.compare.numbers.statistics import (
    Paired,
    Summary,
    holm,
    paired_interval,
    summarise,
)

Key = tuple[str, str, float | None]


@dataclass(frozen=True)
class Row:
    """The runs of one setting, method and sparsity: a line of the table.

    Attributes:
        setting: data and net.
        method: name in the table.
        sparsity: the target; None for a run that prunes nothing.
        cells: the finished runs, one a seed, by rising seed.
    """

    setting: str
    method: str
    sparsity: float | None
    cells: tuple[Cell, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(cell.seed for cell in self.cells)

    @property
    def budget(self) -> str | None:
        """What the target is a share of."""
        return self.cells[0].budget

    def of(self, name: str) -> Summary:
        """Return mean and spread over the seeds of a value (see `cells.VALUES`)."""
        return summarise([v for cell in self.cells if (v := cell.values[name]) is not None])


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two methods, a minus b, at one setting and sparsity.

    Attributes:
        setting: data and net.
        sparsity: the target; None where neither prunes.
        budgets: what the targets are shares of, of those that prune: one, or two that differ.
        a: a method.
        b: another.
        value: name of what is compared.
        seeds: those that both have, by rising seed.
        differences: of each of these seeds.
        found: their mean, interval and p-value.
        synops: SynOps of a over those of b, summed over these seeds; None where not known.
        named: whether the contrast was named beforehand.
        corrected: p-value corrected (Holm) within the contrasts named beforehand, or within those
            to explore; None where there is no p-value.
    """

    setting: str
    sparsity: float | None
    budgets: tuple[str | None, ...]
    a: str
    b: str
    value: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    found: Paired
    synops: float | None = None
    named: bool = False
    corrected: float | None = None


@dataclass(frozen=True)
class Difference:
    """Something in which the runs of a comparison differ.

    Attributes:
        fact: what, a name of `facts.FACTS`.
        values: each value with the number of its runs, the most frequent first.
        rows: the lines of the table that hold a run with another value than the most frequent one
            of their setting; empty where only settings differ.
    """

    fact: str
    values: tuple[tuple[str, int], ...]
    rows: frozenset[Key] = field(default_factory=frozenset)


def rows(cells: Iterable[Cell]) -> list[Row]:
    """Return a row per setting, method and sparsity, in the order in which they come."""
    groups: dict[Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.setting, cell.method, cell.sparsity].append(cell)
    return [
        Row(*key, tuple(sorted(group, key=lambda cell: cell.seed))) for key, group in groups.items()
    ]


def paired(
    cells: Iterable[Cell], a: str, b: str, *, value: str = "test_accuracy"
) -> list[Contrast]:
    """Return the paired differences, a minus b, at every setting and sparsity that both have.

    Only seeds that both have count. A method that prunes nothing is paired with every sparsity of
    the other.

    Args:
        cells: finished cells.
        a: name of a method.
        b: name of another.
        value: what is compared (see `cells.VALUES`).
    """
    found = []
    table = rows(cells)
    for one in table:
        for other in table:
            if (one.method, other.method, other.setting) != (a, b, one.setting):
                continue
            if one.sparsity == other.sparsity or None in (one.sparsity, other.sparsity):
                found.append(_contrast(one, other, value))
    return found


def _contrast(one: Row, other: Row, value: str) -> Contrast:
    left = {cell.seed: cell.values[value] for cell in one.cells}
    right = {cell.seed: cell.values[value] for cell in other.cells}
    differences = {
        seed: x - y
        for seed, x in left.items()
        if x is not None and (y := right.get(seed)) is not None
    }
    sparsity = one.sparsity if one.sparsity is not None else other.sparsity
    prune = [row for row in (one, other) if row.sparsity is not None]
    budgets = tuple(dict.fromkeys(row.budget for row in prune))
    return Contrast(
        *(one.setting, sparsity, budgets, one.method, other.method, value),
        seeds=tuple(differences),
        differences=tuple(differences.values()),
        found=paired_interval(list(differences.values())),
        synops=_ratio(one, other, differences.keys()),
    )


def _ratio(one: Row, other: Row, seeds: Collection[int]) -> float | None:
    """Return the synaptic operations of one over those of the other, at these seeds."""
    sums = [
        sum(cell.values["synops"] or 0.0 for cell in row.cells if cell.seed in seeds)
        for row in (one, other)
    ]
    return sums[0] / sums[1] if all(sums) else None


def contrasts(
    cells: Sequence[Cell],
    named: Iterable[tuple[str, str]],
    explore: Iterable[tuple[str, str]],
    *,
    value: str = "test_accuracy",
) -> list[Contrast]:
    """Return all contrasts: those named beforehand, then those to explore, each family corrected.

    Args:
        cells: finished cells.
        named: pairs (a, b) that were named before there were results.
        explore: pairs that were not.
        value: what is compared.
    """
    families = []
    for is_named, pairs in ((True, named), (False, explore)):
        family = [one for a, b in pairs for one in paired(cells, a, b, value=value)]
        known = [one.found.p for one in family if one.found.p is not None]
        corrected = iter(holm(known))
        families += [
            replace(one, named=is_named, corrected=None if one.found.p is None else next(corrected))
            for one in family
        ]
    return families


def differences_of(cells: Sequence[Cell]) -> list[Difference]:
    """Return in what the runs differ that should agree or be told: data, net, T, code and so on."""
    found = []
    for fact in FACTS:
        counts = Counter(cell.facts[fact] for cell in cells)
        if len(counts) > 1:
            marked = frozenset(key for setting in _settings(cells) for key in _odd(setting, fact))
            found.append(Difference(fact, tuple(counts.most_common()), marked))
    return found


def _settings(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.setting].append(cell)
    return list(groups.values())


def _odd(cells: Sequence[Cell], fact: str) -> set[Key]:
    usual = Counter(cell.facts[fact] for cell in cells).most_common(1)[0][0]
    return {
        (cell.setting, cell.method, cell.sparsity) for cell in cells if cell.facts[fact] != usual
    }
