"""The study's raw results as groups of paired runs, and the tables of its page."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

from spikeprune.lab.compare.numbers.columns import p_word
from spikeprune.lab.compare.numbers.statistics import holm, paired_interval, summarise
from spikeprune.lab.report.markdown import table

RESULTS = Path(__file__).with_name("results")


@cache
def runs(part):
    """Return the rows of a part, by (method, target sparsity)."""
    groups = defaultdict(dict)
    for row in json.loads((RESULTS / f"{part}.json").read_text())["rows"]:
        groups[row["method"], row["target_sparsity"]][row["seed"]] = row
    return dict(groups)


@dataclass(frozen=True)
class Group:
    """Runs of one method at one sparsity, by seed."""

    label: str
    rows: dict
    sparsity: float | None = None
    stem: str = ""  # name of the file of results

    def called(self, label: str) -> "Group":
        return replace(self, label=label)

    def only(self, seeds: Iterable[int]) -> "Group":
        return replace(self, rows={s: self.rows[s] for s in seeds if s in self.rows})

    def values(self, key):
        return [self.rows[seed][key] for seed in sorted(self.rows)]

    def mean(self, key):
        return summarise(self.values(key)).mean


def group(part, method, sparsity):
    return Group(method, runs(part)[method, sparsity], sparsity, part)


def groups(part):
    """Return all groups of a part, in the order of its table."""
    return [group(part, *key) for key in runs(part)]


def spread(values, scale=1.0, digits=2):
    """Return mean and sample standard deviation in words."""
    found = summarise([scale * value for value in values])
    spread = "" if found.std is None else f" ± {found.std:.{digits}f}"
    return f"{found.mean:.{digits}f}{spread}"


def accuracies(groups, value="test_accuracy", drop="drop"):
    """Return the table of groups: accuracy, drop, SynOps, energy, survival."""
    kind = value.split("_")[0]
    head = (
        *("method", "seeds", f"{kind} accuracy, %", "drop, points", "density, %"),
        *("SynOps, thousands", "energy model, nJ", "survival, %"),
    )
    lines = []
    for each in groups:
        survival = [v for v in each.values("survival") if v is not None]
        pruned = each.rows[min(each.rows)]["target_sparsity"] is not None
        lines.append(
            (
                *(each.label, str(len(each.rows)), spread(each.values(value), 100)),
                spread(each.values(drop), 100) if pruned else "",
                f"{100 * each.mean('density'):.2f}",
                spread(each.values("synops"), 1e-3, 0),
                spread(each.values("energy_nj"), 1, 0),
                spread(survival, 100, 1) if survival else "",
            )
        )
    return table(head, lines)


@dataclass(frozen=True)
class Contrast:
    """Group a minus group b at the same seeds."""

    a: Group
    b: Group
    key: str = "test_accuracy"

    @property
    def seeds(self):
        return sorted(self.a.rows.keys() & self.b.rows.keys())

    @property
    def differences(self):
        return [100 * (self.a.rows[s][self.key] - self.b.rows[s][self.key]) for s in self.seeds]

    @property
    def paired(self):
        return paired_interval(self.differences)

    @property
    def ratios(self):
        """SynOps of a over those of b at the same seed."""
        return [self.a.rows[s]["synops"] / self.b.rows[s]["synops"] for s in self.seeds]

    @property
    def synops(self):
        return spread(self.ratios)

    @property
    def words_of_pair(self):
        return f"{self.a.label} − {self.b.label}"

    def called(self, prefix):
        return replace(self, a=self.a.called(prefix + self.a.label))

    def words(self):
        """Return the mean difference with its interval."""
        found = self.paired
        if found.low is None:
            return f"{found.mean:+.2f}"
        return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def contrasts(found: Sequence[Contrast]) -> str:
    """Return the table of a family of contrasts, corrected for being several."""
    corrected = holm([1.0 if each.paired.p is None else each.paired.p for each in found])
    lines = [
        (
            *(each.words_of_pair, str(each.paired.n), each.words()),
            *(f"{each.paired.std:.2f}", p_word(p), f"{each.synops}×"),
        )
        for each, p in zip(found, corrected, strict=True)
    ]
    head = (
        *("contrast", "pairs", "points, with 95 % interval", "std of the differences"),
        *("p, Holm", "SynOps, a over b"),
    )
    return table(head, lines)


def operations(groups):
    """Return where live weights lie, and where the synaptic operations are, by layer."""
    names = [layer["name"] for layer in next(iter(groups[0].rows.values()))["layers"]]
    lines = []
    for each in groups:
        layers = [row["layers"] for row in each.rows.values()]
        density = [fmean(one[i]["density"] for one in layers) for i in range(len(names))]
        sums = [sum(layer["synops"] for layer in one) for one in layers]
        spent = [
            fmean(one[i]["synops"] / total for one, total in zip(layers, sums, strict=True))
            for i in range(len(names))
        ]
        lines += [
            (each.label, "density, %", *(f"{100 * v:.1f}" for v in density)),
            (each.label, "share of the SynOps, %", *(f"{100 * v:.1f}" for v in spent)),
        ]
    return table(("method", "", *names), lines)


def placement(groups):
    """Return where live weights lie, and what regrowth brought back in all events, by layer."""
    names = [layer["name"] for layer in next(iter(groups[0].rows.values()))["layers"]]
    lines = []
    for each in groups:
        brought = [0.0] * len(names)
        dense = [0.0] * len(names)
        for row in each.rows.values():
            total = sum(layer["regrown_in_all_events"] for layer in row["layers"]) or 1
            for i, layer in enumerate(row["layers"]):
                brought[i] += layer["regrown_in_all_events"] / total / len(each.rows)
                dense[i] += layer["density"] / len(each.rows)
        lines += [
            (each.label, "density, %", *(f"{100 * v:.1f}" for v in dense)),
            (each.label, "share of the regrown, %", *(f"{100 * v:.1f}" for v in brought)),
        ]
    return table(("method", "", *names), lines)
