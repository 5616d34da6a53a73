from dataclasses import replace

import pytest

from spikeprune.lab.compare.numbers.rows_and_contrasts import rows
from spikeprune.lab.compare.numbers.statistics import Summary, paired_interval
from spikeprune.lab.reproduce.run_tables import (
    NO_VALUE,
    accuracies,
    contrast,
    mean_of,
    run_table,
    summary_cell,
)


@pytest.fixture
def made(measured):
    """Rows of magnitude (70 and 72 %) and criticality (80 and 82 %) at 90 %."""
    cells = measured("table-unstructured").inputs.cells
    return {row.method: row for row in rows(cells) if row.sparsity == 0.9}


def test_chosen_and_further_columns(made, texts):
    both = [made["magnitude"], made["criticality"]]
    cells = [summary_cell(Summary(1, 2.0, None)), NO_VALUE]
    table = run_table("Caption", both, ("test_accuracy", "total_epochs"), [("more", cells)])
    assert (table.caption, table.columns) == (
        "Caption",
        ("method", "removed", "n", "test accuracy, %", "total epochs", "more"),
    )
    assert texts(table, *table.columns) == [
        ("magnitude", "90\u00a0%", "2", "71.00\u00a0±\u00a01.41", "6", "2.000"),
        ("criticality", "90\u00a0%", "2", "81.00\u00a0±\u00a01.41", "6", "–"),
    ]


def test_a_contrast_is_paired_by_seed_and_not_available_across_settings(made):
    ours, baseline = made["criticality"], made["magnitude"]
    difference, interval = contrast(ours, baseline)
    assert (difference.text, difference.value) == ("+10.00", pytest.approx(0.1))
    assert (interval.text, interval.value) == ("–", None)  # equal differences: no spread
    values = baseline.cells[1].values | {"test_accuracy": 0.70}
    changed = (baseline.cells[0], replace(baseline.cells[1], values=values))
    found = paired_interval([0.1, 0.12])
    _, interval = contrast(ours, replace(baseline, cells=changed))
    assert interval.value == pytest.approx(found.low)
    elsewhere = tuple(replace(cell, setting="elsewhere") for cell in baseline.cells)
    assert contrast(ours, replace(baseline, cells=elsewhere))[0].text == "not available"


def test_summaries_in_words():
    assert summary_cell(Summary(2, -0.25, 0.5)).text == "−0.250\u00a0±\u00a00.500"
    assert summary_cell(Summary(1, 0.25, None), ".1f").text == "0.2"
    assert summary_cell(Summary(0, None, None)) == NO_VALUE


def test_unknown_values_do_not_count():
    assert mean_of([1.0, None, 3.0, float("nan")]) == Summary(2, 2.0, pytest.approx(2**0.5))
    assert mean_of([None]).mean is None


def test_accuracies_are_in_per_cent(made):
    (found,) = accuracies([made["magnitude"]])
    assert (found.n, found.mean) == (2, pytest.approx(71.0))
    assert found.std == pytest.approx(2**0.5)
