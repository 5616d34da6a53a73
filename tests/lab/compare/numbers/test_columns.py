from dataclasses import replace

import pytest

from spikeprune.lab.compare import load_cells
from spikeprune.lab.compare.numbers.columns import (
    CONTRAST_COLUMNS,
    Column,
    columns,
    difference_words,
    mean_and_spread,
    name_of,
    p_word,
    target,
)
from spikeprune.lab.compare.numbers.rows_and_contrasts import Contrast, Difference, rows
from spikeprune.lab.compare.numbers.statistics import Paired, Summary, paired_interval

CONTRAST = Contrast(
    setting="digits",
    sparsity=0.9,
    budgets=("weights",),
    a="ours",
    b="theirs",
    value="test_accuracy",
    seeds=(0, 1, 2),
    differences=(0.01, 0.02, 0.03),
    paired=paired_interval([0.01, 0.02, 0.03]),
    synops=1.256,
    corrected=0.0001,
)
HINT = "; enough to explore, not to claim"


def words(contrast):
    return {c.title: c.text(contrast).replace("\u00a0", " ") for c in CONTRAST_COLUMNS}


def test_means_with_and_without_a_spread():
    assert mean_and_spread(Summary(2, 0.5, 0.25), str) == "0.5\u00a0±\u00a00.25"
    assert mean_and_spread(Summary(1, 0.5, None), str) == "0.5"
    assert mean_and_spread(Summary(0, None, None), str) == "–"


def test_only_columns_with_spread_show_it(finished):
    (row,) = rows(load_cells(finished({"magnitude": [0.7, 0.8]}).folder.path))
    assert Column("accuracy", "test_accuracy", "{:.2f}".format, spread=True).text(row) == (
        "0.75\u00a0±\u00a00.07"
    )
    assert Column("accuracy", "test_accuracy", "{:.2f}".format).text(row) == "0.75"


def test_the_columns_show_the_selected_accuracy_and_its_drop():
    assert [c.value for c in columns("test")][:2] == ["test_accuracy", "drop"]
    values = [c.value for c in columns("validation")][:2]
    assert values == ["validation_accuracy", "validation_drop"]


@pytest.mark.parametrize(
    ("sparsity", "budget", "text"),
    [
        (None, "weights", "–"),
        (0.9, None, "90 %"),
        (0.9569, "weights", "95.69 %"),
        (0.1 + 0.2, "channels", "30 %"),
        (0.8, "synops", "80 % fewer SynOps"),
    ],
)
def test_targets(sparsity, budget, text):
    assert target(sparsity, budget).replace("\u00a0", " ") == text


def test_a_row_has_the_numbers_of_the_differences_that_concern_it(finished):
    (row,) = rows(load_cells(finished({"magnitude": [0.7]}).folder.path))
    other = Difference("threads", (("4", 3), ("1", 1)))
    own = Difference("device", (("cpu", 2), ("cuda", 2)), frozenset([row.key]))
    assert name_of(row, [other, own, own]) == "magnitude [2] [3]"
    assert name_of(row, []) == "magnitude"
    assert difference_words(other) == "The runs differ in threads: 4 (3 runs), 1 (1 run)."


def test_p_values():
    assert [p_word(p) for p in (None, 0.0004, 0.001, 0.5)] == ["–", "< 0.001", "0.001", "0.500"]


def test_a_contrast_in_words():
    found = words(CONTRAST)
    low, high = CONTRAST.paired.low, CONTRAST.paired.high
    assert found["contrast, a − b"] == "ours − theirs"
    assert found["target"] == "90 %"
    assert (found["n"], found["mean difference, points"]) == ("3", "+2.00")
    assert found["95 % interval"] == f"−{-100 * low:.2f} … +{100 * high:.2f}"
    assert (found["p, Holm"], found["SynOps, a / b"]) == ("< 0.001", "1.26")
    assert (found["kind"], found["what it allows to say"]) == (
        "exploratory",
        f"holds 0{HINT}",
    )


def test_different_budgets_are_both_named():
    one = replace(CONTRAST, budgets=("synops", "weights"))
    assert words(one)["target"] == "90 % fewer SynOps − 90 %"
    assert words(replace(CONTRAST, sparsity=None, budgets=()))["target"] == "–"


@pytest.mark.parametrize(
    ("paired", "named", "text"),
    [
        (Paired(0, None, None), True, "no seed in common"),
        (Paired(1, 0.1, None), True, "one seed: no interval"),
        (Paired(3, 0.1, 0.0), True, "all differences equal: no interval"),
        (
            Paired(9, 0.1, 0.1, 0.05, 0.15, 0.01),
            True,
            f"excludes 0{HINT}",
        ),
        (Paired(10, 0.1, 0.1, 0.05, 0.15, 0.01), True, "excludes 0"),
        (Paired(10, 0.1, 0.1, -0.05, 0.25, 0.2), True, "holds 0"),
        (Paired(10, -0.1, 0.1, -0.2, -0.05, 0.01), False, f"excludes 0{HINT}"),
    ],
)
def test_the_conclusion_that_an_interval_allows(paired, named, text):
    one = replace(CONTRAST, paired=paired, named=named)
    assert words(one)["what it allows to say"] == text


def test_contrasts_sort_by_numbers():
    values = {c.title: c.value(CONTRAST) for c in CONTRAST_COLUMNS}
    assert values["mean difference, points"] == pytest.approx(0.02)
    assert (values["n"], values["target"], values["kind"]) == (3, 0.9, None)
