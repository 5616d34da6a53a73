"""`python -m study.page` writes docs/study.md and its figures from the raw results."""

from pathlib import Path

from spikeprune.lab.statistics import summarise
from study import figures
from study.numbers import (
    Contrast,
    accuracies,
    contrasts,
    group,
    markdown,
    placement,
    runs,
    spread,
)

TEMPLATE = Path(__file__).with_name("page.md")
PAGE = Path(__file__).parents[1] / "docs" / "study.md"
SEEDS = (0, 1, 2)


def named():
    """Part 1: dense, magnitude, criticality, random regrowth."""
    dense = group("named", "dense", None)
    found = {m: group("named", m, 0.95) for m in ("magnitude", "criticality", "random-regrow")}
    return dense, found


def named_contrasts():
    _, found = named()
    return [
        Contrast(found["criticality"], found["magnitude"]),
        Contrast(found["criticality"], found["random-regrow"]),
    ]


def explored():
    """Part 3: groups at three seeds, and contrasts with magnitude at the same target."""
    _, at95 = named()
    tables, pairs = {}, []
    for name, part, sparsity in (("90", "fig2-90", 0.9), ("95", "fig2-95", 0.95)):
        groups = [group(part, *key) for key in sorted(runs(part), key=str)]
        if name == "95":
            groups += [each.only(SEEDS) for each in at95.values()]
        tables[name] = sorted(groups, key=lambda each: -each.mean("test_accuracy"))
        base = next(each for each in groups if each.label == "magnitude")
        pairs += [
            Contrast(each.at(sparsity), base.at(sparsity))
            for each in tables[name]
            if each is not base
        ]
    synops = [group("fig2-synops", *key) for key in runs("fig2-synops")]
    return tables, pairs, synops


def ablation():
    """Part 2: every form on validation data, beside the forms of part 1 at the same seeds."""
    _, found = named()
    forms = [group(part, *key) for part in ("ablation", "combined") for key in runs(part)]
    seeds = sorted(forms[0].rows)
    base = found["magnitude"].only(seeds)
    paper = found["criticality"].only(seeds).called("criticality (paper)")
    groups = [base, paper, found["random-regrow"].only(seeds), *forms]
    lines = []
    for each in groups:
        gap = Contrast(each, base, "validation_accuracy").differences
        lines.append(
            (
                each.label,
                spread(each.values("validation_accuracy"), 100),
                "" if each is base else " ".join(f"{d:+.2f}" for d in gap),
                spread(each.values("synops"), 1e-3, 0),
                f"{Contrast(each, base).synops}×",
            )
        )
    head = ("form", "validation accuracy, %", "minus magnitude, by seed", "SynOps, thousands", "")
    return markdown((*head[:-1], "over magnitude"), lines)
