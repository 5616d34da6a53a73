"""The parts of the study: which groups of runs each compares, and by which contrasts."""

from study.groups import Contrast, group, groups

OURS, PAPER = "rank-previous-falling", "criticality"
CONTROL, RANKED = "random-previous-falling", "criticality-ranked"
SYNOPS_80 = ("fig2-synops", "synops-forms", "synops-80-erk")
SYNOPS_95 = ("synops-95", "synops-95-forms", "synops-95-allocation", "synops-95-erk")
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


def high_sparsity():
    """Part 10, by sparsity."""
    found = at_three_seeds("high-sparsity")
    return {f"{100 * s:g} %": [each for each in found if each.sparsity == s] for s in (0.98, 0.99)}


def within_layer():
    """Part 10b: forms that regrow half of each layer, after magnitude pruning at 99 %."""
    known = (group("high-sparsity", m, 0.99) for m in ("magnitude", PAPER, RANKED, "granet"))
    return [*known, *groups("within-layer")]


def forms_at_equal_synops(stems):
    """Part 11, on validation data: magnitude pruning, then the other forms, the best first."""
    found = [each for stem in stems for each in groups(stem)]
    found.sort(key=lambda each: -each.mean("validation_accuracy"))
    return sorted(found, key=lambda each: each.label != "magnitude")


def erk_at_equal_sparsity():
    """Part 11: magnitude pruning of the whole net and by ERK, at 95 and 99 % of the weights."""
    found = [
        *(named()["magnitude"].only(FEW), group("weights-erk", "magnitude-erk", 0.95)),
        *(group("high-sparsity", "magnitude", 0.99), group("weights-erk", "magnitude-erk", 0.99)),
    ]
    return [each.called(f"{each.label}, {100 * each.sparsity:g} %") for each in found]


def synops_confirm():
    """Part 13, by method: ten fresh seeds of each, on other data, 95 % fewer SynOps."""
    return {each.label: each for each in groups("synops-confirm")}


def synops_confirm_contrasts():
    """The contrasts that were named before the runs of part 13."""
    found = synops_confirm()
    others = (RANKED, "magnitude", "magnitude-erk", f"{CONTROL}-erk")
    return [Contrast(found["ranked-erk"], found[other]) for other in others]


def shuffled():
    """Part 12: the default of part 5, the same scores dealt at random, and random regrowth."""
    return [confirm()[OURS].called(RANKED), *groups("shuffled"), *groups("control")]


def shuffled_contrast():
    """The contrast that was named before the runs of part 12."""
    ranked, dealt, _ = shuffled()
    return Contrast(ranked, dealt)


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
