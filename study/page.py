"""`python -m study.page` writes docs/study.md and its figures from the raw results."""

import json
from pathlib import Path

from spikeprune.lab.statistics import holm
from study import figures
from study.groups import (
    RESULTS,
    Contrast,
    accuracies,
    contrasts,
    group,
    groups,
    markdown,
    placement,
    spread,
)

TEMPLATE = Path(__file__).with_name("page.md")
PAGE = Path(__file__).parents[1] / "docs" / "study.md"
OURS, PAPER = "rank-previous-falling", "criticality"
CONTROL, RANKED = "random-previous-falling", "criticality-ranked"
FEW = (0, 1, 2)


def named(sparsity=0.95):
    """Part 1, by method: ten seeds of each."""
    methods = ("magnitude", PAPER, "random-regrow")
    found = {method: group("named", method, sparsity) for method in methods}
    return {"dense": group("named", "dense", None), **found}


def named_contrasts():
    found = named()
    return [Contrast(found[PAPER], found[other]) for other in ("magnitude", "random-regrow")]


def confirm():
    """Part 5, by method: ten fresh seeds of each, on other data."""
    return {each.label: each for each in groups("confirm")}


def confirm_contrasts():
    found = confirm()
    return [Contrast(found[OURS], found[other]) for other in (PAPER, "magnitude", "random-regrow")]


def confirm_explored():
    found = confirm()
    return [Contrast(found[PAPER], found[other]) for other in ("magnitude", "random-regrow")]


def control_contrast():
    (control,) = groups("control")
    return Contrast(confirm()[OURS], control)


def ablation():
    """Return the table of part 2: every form on validation data, against magnitude."""
    forms = [*groups("ablation"), *groups("combined")]
    seeds, known = sorted(forms[0].rows), named()
    base = known["magnitude"].only(seeds)
    paper = known[PAPER].only(seeds).called("the paper's form")
    lines = []
    for each in (base, paper, known["random-regrow"].only(seeds), *forms):
        gap = Contrast(each, base, "validation_accuracy")
        lines.append(
            (
                *(each.label, spread(each.values("validation_accuracy"), 100)),
                "" if each is base else " ".join(f"{d:+.2f}" for d in gap.differences),
                *(spread(each.values("synops"), 1e-3, 0), f"{gap.synops}×"),
            )
        )
    head = ("form", "validation accuracy, %", "minus magnitude, by seed", "SynOps, thousands")
    return markdown((*head, "over magnitude"), lines)


def at_three_seeds(part, *more):
    """Return the groups of a part and others at its seeds, the best first."""
    found = [*groups(part), *(each.only(FEW) for each in more)]
    return sorted(found, key=lambda each: -each.mean("test_accuracy"))


def weights():
    """Part 3, by what is equal."""
    found = named()
    return {
        "90 %": at_three_seeds("fig2-90"),
        "95 %": at_three_seeds("fig2-95", *(found[m] for m in found if m != "dense")),
        "SynOps": at_three_seeds("fig2-synops"),
    }


def channels():
    """Part 4, by what is equal."""
    return {
        "50 %": [each for each in at_three_seeds("channels") if each.sparsity == 0.5],
        "70 %": [each for each in at_three_seeds("channels") if each.sparsity == 0.7],
        "MACs": [
            each.called(each.label.removesuffix("-at-macs"))
            for each in at_three_seeds("channels-cost")
            if each.label.endswith("-at-macs")
        ],
        "SynOps": at_three_seeds("channels-synops"),
    }


def longer():
    """Part 8, by method: three times the budget of part 1."""
    return {each.label: each for each in groups("longer")}


def longer_contrasts():
    """The contrasts that were named before the runs of part 8."""
    found = longer()
    pairs = (PAPER, "magnitude"), (RANKED, "magnitude"), (RANKED, CONTROL)
    return [Contrast(found[one], found[other]) for one, other in pairs]


def again():
    """Part 9, by method: part 8 on other data, fresh seeds."""
    return {each.label: each for each in groups("longer-confirm")}


def again_contrasts():
    """The contrasts that were named before the runs of part 9."""
    found = again()
    return [Contrast(found[RANKED], found[other]) for other in ("magnitude", CONTROL)]


def explored(tables, method=PAPER):
    """Return contrasts of a method with every other one of the same table."""
    found = []
    for name, rows in tables.items():
        (ours,) = (each for each in rows if each.label == method)
        found += [
            Contrast(ours, each.called(f"{each.label}, {name}"))
            for each in rows
            if each is not ours
        ]
    return found


def cost():
    """Return the table of part 6: what it takes to reach 95 % on Fashion-MNIST."""
    found, seeds = confirm(), sorted(groups("cost")[0].rows)
    rows = [*(found[m].only(seeds) for m in ("magnitude", PAPER, OURS)), *groups("cost")]
    lines = [
        (
            *(each.label, spread(each.values("test_accuracy"), 100)),
            *(f"{each.mean('pruning_epochs'):g}", f"{each.mean('total_epochs'):g}"),
            *(f"{each.mean('training_flops') / 1e12:.1f}",),
            *(f"{each.mean('training_flops_sparse') / 1e12:.1f}",),
            f"{each.mean('wall_seconds'):.0f}",
        )
        for each in rows
    ]
    head = ("method", "test accuracy, %", "pruning epochs", "total epochs", "training TFLOPs")
    return markdown((*head, "counting live weights", "wall time, s"), lines)


def against_imp():
    """Return the numbers of part 6 that stand in sentences."""
    equal, own = groups("cost")
    ours = confirm()["magnitude"].only(own.rows)
    return {
        "imp_pruning": 1 - ours.mean("pruning_epochs") / own.mean("pruning_epochs"),
        "imp_total": 1 - ours.mean("total_epochs") / own.mean("total_epochs"),
        "imp_own": 100 * (own.mean("test_accuracy") - ours.mean("test_accuracy")),
        "imp_equal": 100 * (ours.mean("test_accuracy") - equal.mean("test_accuracy")),
    }


def entropy():
    """Return the table of part 7: rank correlations by net, mean over layers and seeds."""
    seeds = json.loads((RESULTS / "entropy.json").read_text()).values()
    head = ("net", "with criticality", "with the firing rate", "with criticality, given the rate")
    lines = []
    for net in ("untrained", "dense", "pruned"):
        of = [one[net]["mean"]["position"] for one in seeds]
        keys = ("criticality", "rate", "criticality_given_rate")
        lines.append((net, *(spread([each[key]["mean"] for each in of]) for key in keys)))
    return markdown(head, lines)


def by_seed(found):
    """Return the differences of every seed."""
    head = ("contrast", *(str(seed) for seed in found[0].seeds))
    lines = [(c.words_of_pair, *(f"{d:+.2f}" for d in c.differences)) for c in found]
    return markdown(head, lines)


def draw():
    """Write the figures."""
    found = named()
    figures.differences(
        "pairs",
        [
            *(c.called("CIFAR-10: ") for c in named_contrasts()),
            *(c.called("Fashion-MNIST: ") for c in confirm_contrasts()),
        ],
        "test accuracy, difference in points; line: 95 % interval of the mean",
    )
    equal = {"90 % of the weights": "90 %", "95 %": "95 %", "80 % of the SynOps": "SynOps"}
    tables = {words: weights()[name] for words, name in equal.items()}
    figures.over_synops("synops", tables, found["dense"].only(FEW))


def sentences():
    """Return the numbers that stand in sentences."""
    magnitude, random = named_contrasts()
    against_paper, against_magnitude, _ = confirm_contrasts()
    return {
        "c_mag": magnitude.words(),
        "c_mag_high": magnitude.paired.high,
        "c_synops": magnitude.synops,
        "c_rand": random.words(),
        "f_paper": against_paper.words(),
        "f_mag": against_magnitude.words(),
        "f_paper_mag": confirm_explored()[0].words(),
        "f_control": control_contrast().words(),
        "l_survival": 100 * longer()[PAPER].mean("survival"),
        "l_paper": longer_contrasts()[0].words(),
        "l_ranked": longer_contrasts()[1].words(),
        "l_control": longer_contrasts()[2].words(),
        "a_ranked": again_contrasts()[0].words(),
        "a_control": again_contrasts()[1].words(),
        "a_low": -min(each.paired.low for each in again_contrasts()),
        "a_high": max(each.paired.high for each in again_contrasts()),
        "a_survival": 100 * again()[RANKED].mean("survival"),
        "a_survival_control": 100 * again()[CONTROL].mean("survival"),
    }


def at_equal_synops():
    """Return the numbers of parts 3 and 4 at equal SynOps that stand in sentences."""
    found = [
        row["synops"] / row["dense_synops"]
        for each in groups("fig2-synops")
        for row in each.rows.values()
    ]
    rows = {"SynOps": weights()["SynOps"]}
    lost = [-each.paired.mean for each in explored(rows)]
    p = holm([each.paired.p for each in explored(weights())])[-len(lost) :]
    best, base = (group("fig2-synops", m, 0.8) for m in ("per-synop-previous-falling", "magnitude"))
    shares = [
        row["synops"] / row["dense_synops"]
        for each in groups("channels-synops")
        for row in each.rows.values()
    ]
    return {
        **{"synops_low": 100 * min(found), "synops_high": 100 * max(found)},
        **{"channels_low": 100 * min(shares), "channels_high": 100 * max(shares)},
        **{"p_least": min(p), "p_most": max(p)},
        **{"s_least": min(lost), "s_most": max(lost), "s_form": Contrast(best, base).words()},
    }


def page() -> str:
    """Return the text of the page."""
    known, fresh = named(), confirm()
    in_weights, in_channels = weights(), channels()
    parts = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != "entropy")
    runs = [each for part in parts for each in groups(part)]
    forms = [*groups("ablation"), *groups("combined")]
    lowest = next(each for each in forms if each.label == "per-synop")
    seeds = sorted(forms[0].rows)
    fields = {
        "runs": sum(len(each.rows) for each in runs),
        "named": accuracies(known.values()),
        "named_contrasts": contrasts(named_contrasts()),
        "named_seeds": by_seed(named_contrasts()),
        "placement": placement([known[m] for m in ("magnitude", PAPER, "random-regrow")]),
        "placement_forms": placement([lowest, *(e for e in forms if e.label == OURS)]),
        "ablation": ablation(),
        "ablation_seeds": " and ".join(map(str, seeds)),
        "confirm": accuracies(fresh.values()),
        "confirm_contrasts": contrasts(confirm_contrasts()),
        "confirm_seeds": by_seed(confirm_contrasts()),
        "confirm_explored": contrasts(confirm_explored()),
        "weights_contrasts": contrasts(explored(in_weights)),
        "ranked_contrasts": contrasts(explored({"SynOps": in_weights["SynOps"]}, RANKED)),
        "channels_contrasts": contrasts(explored(in_channels)),
        "longer": accuracies(longer().values()),
        "longer_contrasts": contrasts(longer_contrasts()),
        "longer_seeds": by_seed(longer_contrasts()),
        "again": accuracies(again().values()),
        "again_contrasts": contrasts(again_contrasts()),
        "again_seeds": by_seed(again_contrasts()),
        "control": accuracies([fresh[OURS], *groups("control")]),
        "control_contrasts": contrasts([control_contrast()]),
        **sentences(),
        **against_imp(),
        **at_equal_synops(),
        "cost": cost(),
        "cost_seeds": ", ".join(map(str, sorted(groups("cost")[0].rows))),
        "entropy": entropy(),
        **{f"weights_{i}": accuracies(rows) for i, rows in enumerate(in_weights.values())},
        **{f"channels_{i}": accuracies(rows) for i, rows in enumerate(in_channels.values())},
    }
    return TEMPLATE.read_text().format(**fields)


if __name__ == "__main__":
    draw()
    PAGE.write_text(page())
