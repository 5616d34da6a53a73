"""The table of data sets."""

import pytest

from spikeprune.data.sets import SETS


@pytest.mark.parametrize("row", SETS.values(), ids=SETS.keys())
def test_a_row_is_consistent(row):
    assert len(row.mean) == len(row.std) == row.shape[0]
    assert all(value > 0 for value in row.std)
    assert len(set(row.classes)) == len(row.classes)
    assert set(row.forms) <= {"embedded", "idx", "parquet", "recordings"}
    assert row.obtain


def test_the_numbers_of_classes():
    counts = {name: len(row.classes) for name, row in SETS.items()}
    assert counts.pop("cifar100") == 100
    assert counts.pop("tiny-imagenet") == 200
    assert set(counts.values()) == {10}
