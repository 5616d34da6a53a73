"""`python -m study.page` writes docs/study.md and its figures from the raw results."""

import json
from pathlib import Path
from statistics import fmean

from spikeprune.lab.compare.numbers.statistics import holm
from spikeprune.lab.report.markdown import table
from study import figures, parts
from study.groups import (
    RESULTS,
    Contrast,
    accuracies,
    contrasts,
    group,
    groups,
    operations,
    placement,
    spread,
)
from study.states import mixed, states_table

TEMPLATE = Path(__file__).with_name("page.md")
_SPREAD = ("magnitude", "criticality", "granet", "magnitude-uniform", "magnitude-erk")
PAGE = Path(__file__).parents[1] / "docs" / "study.md"


def ablation():
    """Return the table of part 2: every form on validation data, against magnitude."""
    forms = [*groups("ablation"), *groups("combined")]
    seeds, known = sorted(forms[0].rows), parts.named()
    base = known["magnitude"].only(seeds)
    paper = known[parts.PAPER].only(seeds).called("the paper's form")
    return on_validation([base, paper, known["random-regrow"].only(seeds), *forms])


def on_validation(forms):
    """Return the table of forms on validation data, against the first of them, seed by seed."""
    base, lines = forms[0], []
    for each in forms:
        gap = Contrast(each, base, "validation_accuracy")
        lines.append(
            (
                *(each.label, spread(each.values("validation_accuracy"), 100)),
                "" if each is base else " ".join(f"{d:+.2f}" for d in gap.differences),
                *(spread(each.values("synops"), 1e-3, 0), f"{gap.synops}×"),
                spread(each.values("energy_nj"), 1, 0),
            )
        )
    head = ("form", "validation accuracy, %", f"minus {base.label}, by seed", "SynOps, thousands")
    return table((*head, f"over {base.label}", "energy model, nJ"), lines)


def cost():
    """Return the table of part 6: what it takes to reach 95 % on Fashion-MNIST."""
    found, seeds = parts.confirm(), sorted(groups("cost")[0].rows)
    rows = [
        *(found[m].only(seeds) for m in ("magnitude", parts.PAPER, parts.OURS)),
        *groups("cost"),
    ]
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
    return table((*head, "counting live weights", "wall time, s"), lines)


def against_imp():
    """Return the numbers of part 6 that stand in sentences."""
    equal, own = groups("cost")
    ours = parts.confirm()["magnitude"].only(own.rows)
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
    return table(head, lines)


def by_seed(found):
    """Return the differences of every seed."""
    head = ("contrast", *(str(seed) for seed in found[0].seeds))
    lines = [(c.words_of_pair, *(f"{d:+.2f}" for d in c.differences)) for c in found]
    return table(head, lines)


def draw():
    """Write the figures."""
    found = parts.named()
    figures.differences(
        "pairs",
        [
            *(c.called("CIFAR-10: ") for c in parts.named_contrasts()),
            *(c.called("Fashion-MNIST: ") for c in parts.confirm_contrasts()),
        ],
        "test accuracy, difference in points; line: 95 % interval of the mean",
    )
    equal = {"90 % of the weights": "90 %", "95 %": "95 %", "80 % of the SynOps": "SynOps"}
    tables = {words: parts.weights()[name] for words, name in equal.items()}
    by_sparsity = [*list(parts.weights().values())[:2], *parts.high_sparsity().values()]
    figures.over_sparsity("sparsity", by_sparsity, found["dense"].only(parts.FEW), "magnitude")
    figures.over_synops("synops", tables, found["dense"].only(parts.FEW))


def sentences():
    """Return the numbers that stand in sentences."""
    magnitude, random = parts.named_contrasts()
    against_paper, against_magnitude, _ = parts.confirm_contrasts()
    words = [each.words() for each in parts.synops_confirm_contrasts()]
    return {
        "c_mag": magnitude.words(),
        "c_mag_high": magnitude.paired.high,
        "c_synops": magnitude.synops,
        "c_rand": random.words(),
        "f_paper": against_paper.words(),
        "f_mag": against_magnitude.words(),
        "f_paper_mag": parts.confirm_explored()[0].words(),
        "f_control": parts.control_contrast().words(),
        **dict(zip(("e_ranked", "e_mag", "e_merk", "e_random"), words, strict=True)),
        "l_survival": 100 * parts.longer()[parts.PAPER].mean("survival"),
        "l_paper": parts.longer_contrasts()[0].words(),
        "l_ranked": parts.longer_contrasts()[1].words(),
        "l_control": parts.longer_contrasts()[2].words(),
        "a_ranked": parts.again_contrasts()[0].words(),
        "a_control": parts.again_contrasts()[1].words(),
        "a_low": -min(each.paired.low for each in parts.again_contrasts()),
        "a_high": max(each.paired.high for each in parts.again_contrasts()),
        "a_survival": 100 * parts.again()[parts.RANKED].mean("survival"),
        "a_survival_control": 100 * parts.again()[parts.CONTROL].mean("survival"),
    }


def at_equal_synops():
    """Return the numbers of parts 3 and 4 at equal SynOps that stand in sentences."""
    found = [
        row["synops"] / row["dense_synops"]
        for each in groups("fig2-synops")
        for row in each.rows.values()
    ]
    rows = {"SynOps": parts.weights()["SynOps"]}
    lost = [-each.paired.mean for each in parts.explored(rows)]
    p = holm([each.paired.p for each in parts.explored(parts.weights())])[-len(lost) :]
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


def survivals():
    """Return the shares of part 12 that stand in sentences."""
    names = ("sh_ranked", "sh_dealt", "sh_random")
    found = (100 * each.mean("survival") for each in parts.shuffled())
    return dict(zip(names, found, strict=True))


def at_high_sparsity():
    """Return the numbers of part 10 that stand in sentences."""
    base, _, _, granet, *forms = parts.within_layer()
    ratios = [fmean(Contrast(each, base).ratios) for each in (granet, *forms)]
    gap = Contrast(granet, base)
    return {
        **{"h_granet": gap.words(), "h_granet_synops": gap.synops},
        **{"w_low": min(ratios), "w_high": max(ratios)},
    }


def page() -> str:
    """Return the text of the page."""
    known, fresh = parts.named(), parts.confirm()
    in_weights, in_channels, high = parts.weights(), parts.channels(), parts.high_sparsity()
    stems = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != "entropy")
    runs = [each for stem in stems for each in groups(stem)]
    forms = [*groups("ablation"), *groups("combined")]
    lowest = next(each for each in forms if each.label == "per-synop")
    seeds = sorted(forms[0].rows)
    fields = {
        "runs": sum(len(each.rows) for each in runs),
        "named": accuracies(known.values()),
        "named_contrasts": contrasts(parts.named_contrasts()),
        "named_seeds": by_seed(parts.named_contrasts()),
        "placement": placement([known[m] for m in ("magnitude", parts.PAPER, "random-regrow")]),
        "placement_forms": placement([lowest, *(e for e in forms if e.label == parts.OURS)]),
        "ablation": ablation(),
        "ablation_seeds": " and ".join(map(str, seeds)),
        "confirm": accuracies(fresh.values()),
        "confirm_contrasts": contrasts(parts.confirm_contrasts()),
        "confirm_seeds": by_seed(parts.confirm_contrasts()),
        "confirm_explored": contrasts(parts.confirm_explored()),
        "weights_contrasts": contrasts(parts.explored(in_weights)),
        "ranked_contrasts": contrasts(
            parts.explored({"SynOps": in_weights["SynOps"]}, parts.RANKED)
        ),
        "channels_contrasts": contrasts(parts.explored(in_channels)),
        "longer": accuracies(parts.longer().values()),
        "longer_contrasts": contrasts(parts.longer_contrasts()),
        "longer_seeds": by_seed(parts.longer_contrasts()),
        "again": accuracies(parts.again().values()),
        "again_contrasts": contrasts(parts.again_contrasts()),
        "again_seeds": by_seed(parts.again_contrasts()),
        **{f"high_{i}": accuracies(rows) for i, rows in enumerate(high.values())},
        "high_contrasts": contrasts(parts.explored(high, parts.RANKED)),
        "within": on_validation(parts.within_layer()),
        "synops_80": on_validation(parts.forms_at_equal_synops(parts.SYNOPS_80)),
        "synops_95": on_validation(parts.forms_at_equal_synops(parts.SYNOPS_95)),
        "synops_layers": operations(
            [e for e in parts.forms_at_equal_synops(parts.SYNOPS_95) if e.label in _SPREAD]
        ),
        "erk": accuracies(parts.erk_at_equal_sparsity()),
        "synops_confirm": accuracies(parts.synops_confirm().values()),
        "synops_confirm_contrasts": contrasts(parts.synops_confirm_contrasts()),
        "synops_confirm_seeds": by_seed(parts.synops_confirm_contrasts()),
        "mixed": mixed(),
        "states": states_table(),
        **survivals(),
        "shuffled": accuracies(parts.shuffled()),
        "shuffled_words": parts.shuffled_contrast().words(),
        "shuffled_contrasts": contrasts([parts.shuffled_contrast()]),
        "control": accuracies([fresh[parts.OURS], *groups("control")]),
        "control_contrasts": contrasts([parts.control_contrast()]),
        **sentences(),
        **against_imp(),
        **at_equal_synops(),
        **at_high_sparsity(),
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
