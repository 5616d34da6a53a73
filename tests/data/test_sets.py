"""The table of data sets."""

import pytest

from spikeprune.data.formats import digits
from spikeprune.data.formats.images import channel_statistics
from spikeprune.data.sets import NAMES, SETS, describe


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


def test_the_constants_of_digits_are_those_of_its_training_images():
    mean, std = channel_statistics(digits.read()[0].images)
    assert SETS["digits"].mean == pytest.approx(mean, abs=5e-4)
    assert SETS["digits"].std == pytest.approx(std, abs=5e-4)


def test_every_name_is_described():
    rows = {row.name: row for row in describe()}
    assert list(rows) == [*NAMES, "module:callable"]
    assert all(row.obtain and row.label for row in rows.values())
    assert (rows["cifar100"].classes, rows["cifar100"].shape) == (100, (3, 32, 32))
    assert (rows["nmnist"].kind, rows["folder"].classes) == ("events", None)
