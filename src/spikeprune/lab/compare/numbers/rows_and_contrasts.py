"""The numbers of a comparison: rows of means, paired contrasts, differing conditions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.run_facts import (
    CODE,
    FACTS,
    NO_TEACHER,
    OF_PRUNED,
    WITHIN_SETTING,
)
from spikeprune.lab.compare.numbers.statistics import (
    Paired,
    Summary,
    holm,
    mean_ratio,
    paired_interval,
    summarise,
)
from spikeprune.lab.report.number_words import some

DEAD = "[!]"
"""Mark of a row with a run whose net is dead, or whose dense net is."""


@dataclass(frozen=True)
class Row:
    """A row of the table: the finished runs of one setting, method and target sparsity."""

    setting: str  # data and net, or the name of a setting
    method: str  # name of the method or the variant
    sparsity: float | None  # target, a fraction; None if the method prunes nothing
    cells: tuple[Cell, ...]  # one per seed, by rising seed

    @property
    def key(self) -> Key:
        """Setting, method and target sparsity."""
        return self.setting, self.method, self.sparsity

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(cell.seed for cell in self.cells)

    @property
    def budget(self) -> str | None:
        """What the target is a fraction of (see `Cell`)."""
        return self.cells[0].budget

    @property
    def dead(self) -> bool:
        """Whether a net of one of its runs shows signs of being dead."""
        return any(cell.warnings for cell in self.cells)

    def summary(self, name: str) -> Summary:
        """Return mean and spread over the seeds of a measurement (see `Cell.values`)."""
        return summarise([v for cell in self.cells if (v := cell.values[name]) is not None])


@dataclass(frozen=True)
class Contrast:
    """The paired difference of two methods, a minus b, at one setting and sparsity."""

    setting: str  # data and net, or the name of a setting
    sparsity: float | None  # target, a fraction; None if neither method prunes
    budgets: tuple[str | None, ...]  # of the methods that prune: one, or two that differ
    a: str
    b: str
    value: str  # name of the measurement that is compared
    seeds: tuple[int, ...]  # the common seeds, rising
    differences: tuple[float, ...]  # one per seed
    paired: Paired
    synops: float | None = None  # SynOps of a over those of b at the same seed, mean over the seeds
    named: bool = False  # named beforehand
    corrected: float | None = None  # p-value after Holm within its kind: named or exploratory


@dataclass(frozen=True)
class Difference:
    """A condition in which the runs of a comparison differ."""

    fact: str  # name of the condition (see `run_facts.FACTS`)
    values: tuple[tuple[str, int], ...]  # each value with its number of runs, the largest first
    # Rows with a run whose value is not the most frequent one of its setting.
    rows: frozenset[Key] = field(default_factory=frozenset)


def rows(cells: Iterable[Cell]) -> list[Row]:
    """Return a row per setting, method and sparsity, in the order of the cells."""
    groups: dict[Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.key].append(cell)
    return [
        Row(setting, method, sparsity, tuple(sorted(group, key=lambda cell: cell.seed)))
        for (setting, method, sparsity), group in groups.items()
    ]


def paired(
    cells: Iterable[Cell], a: str, b: str, *, value: str = "test_accuracy"
) -> list[Contrast]:
    """Return the contrasts of methods, a minus b, over common seeds, by setting and sparsity.

    A method that prunes nothing is paired with every sparsity of the other. `value`: a measurement.
    """
    table = rows(cells)
    return [
        _contrast(one, other, value)
        for one in table
        for other in table
        if (one.method, other.method) == (a, b) and one.setting == other.setting
        if one.sparsity == other.sparsity or None in (one.sparsity, other.sparsity)
    ]


def _contrast(one: Row, other: Row, value: str) -> Contrast:
    left = {cell.seed: cell.values[value] for cell in one.cells}
    right = {cell.seed: cell.values[value] for cell in other.cells}
    differences = {
        seed: x - y
        for seed, x in left.items()
        if x is not None and (y := right.get(seed)) is not None
    }
    of_a, of_b = ({c.seed: c.values["synops"] for c in row.cells} for row in (one, other))
    pruned = [row for row in (one, other) if row.sparsity is not None]
    return Contrast(
        setting=one.setting,
        sparsity=pruned[0].sparsity if pruned else None,
        budgets=tuple(dict.fromkeys(row.budget for row in pruned)),
        a=one.method,
        b=other.method,
        value=value,
        seeds=tuple(differences),
        differences=tuple(differences.values()),
        paired=paired_interval(list(differences.values())),
        synops=mean_ratio([(of_a[seed], of_b[seed]) for seed in differences]),
    )


def contrasts(
    cells: Sequence[Cell],
    named: Iterable[tuple[str, str]],
    explore: Iterable[tuple[str, str]],
    *,
    value: str = "test_accuracy",
) -> list[Contrast]:
    """Return the contrasts of named and of exploratory pairs (a, b), each corrected by Holm."""
    families = []
    for is_named, pairs in ((True, named), (False, explore)):
        family = [one for a, b in pairs for one in paired(cells, a, b, value=value)]
        corrected = iter(holm([one.paired.p for one in family if one.paired.p is not None]))
        for one in family:
            p = None if one.paired.p is None else next(corrected)
            families.append(replace(one, named=is_named, corrected=p))
    return families


def differences_of(cells: Sequence[Cell]) -> list[Difference]:
    """Return the conditions in which the runs differ: data, net, T, code and so on."""
    found = []
    for fact in FACTS:
        compared = [c for c in cells if fact not in OF_PRUNED or c.sparsity is not None]
        by_setting: dict[str, list[Cell]] = defaultdict(list)
        for cell in compared:
            by_setting[cell.setting].append(cell)
        counts = Counter(cell.facts[fact] for cell in compared)
        groups = by_setting.values() if fact in WITHIN_SETTING else [compared]
        if any(len({cell.facts[fact] for cell in group}) > 1 for group in groups):
            marked = (key for group in by_setting.values() for key in _unusual(group, fact))
            found.append(Difference(fact, tuple(counts.most_common()), frozenset(marked)))
    return found


def code_notes(cells: Sequence[Cell]) -> list[str]:
    """Return a sentence on the runs whose code differs from that of most runs of their setting."""
    notes = []
    for setting in dict.fromkeys(cell.setting for cell in cells):
        group = [cell for cell in cells if cell.setting == setting]
        for fact in CODE:
            usual = _usual(group, fact)
            strays = [cell for cell in group if cell.facts[fact] != usual]
            if strays:
                named = (f"{cell.method}, seed {cell.seed} ({cell.facts[fact]})" for cell in strays)
                notes.append(
                    f"Made with other code than the rest of {setting} ({fact}: {usual}): "
                    f"{some(list(named), 6)}; run them again in another folder to compare them."
                )
    return notes


def teacher_notes(cells: Sequence[Cell]) -> list[str]:
    """Return a sentence on the runs that learned from the dense net, if any did."""
    pruned = [cell for cell in cells if cell.sparsity is not None]
    taught = [cell for cell in pruned if cell.facts["teacher"] != NO_TEACHER]
    if not taught:
        return []
    if len(taught) == len(pruned):
        return ["Every pruned net learned from the dense net of its seed, as its teacher."]
    names = dict.fromkeys(f"{cell.method} ({cell.setting})" for cell in taught)
    return [
        "With the dense net of the seed as teacher, which the other pruned nets did not have: "
        f"{'; '.join(names)}. Their accuracies show the teacher's effect beside that of the method."
    ]


def mixes_teachers(cells: Sequence[Cell]) -> bool:
    """Return whether a setting has pruned nets with a teacher and others without."""
    found = {(c.setting, c.facts["teacher"] != NO_TEACHER) for c in cells if c.sparsity is not None}
    return len(found) > len({setting for setting, _ in found})


def dead_notes(rows: Iterable[Row]) -> list[str]:
    """Return a sentence on each row with a dead net: what was found, and at which seeds."""
    notes = []
    for row in rows:
        found = [(cell.seed, sign) for cell in row.cells for sign in cell.warnings]
        if found:
            at = "" if row.sparsity is None else f" at {100 * row.sparsity:g} %"
            named = (f"seed {seed}: {sign}" for seed, sign in found)
            notes.append(
                f"{DEAD} No success: {row.method}{at} on {row.setting}; {some(list(named), 2)}."
            )
    return notes


def _unusual(cells: Sequence[Cell], fact: str) -> set[Key]:
    usual = _usual(cells, fact)
    return {cell.key for cell in cells if cell.facts[fact] != usual}


def _usual(cells: Sequence[Cell], fact: str) -> str:
    return Counter(cell.facts[fact] for cell in cells).most_common(1)[0][0]
