"""Digests of samples: equal for equal values, and counted by blocks."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from spikeprune.data.digests import BLOCKS, Digest, combined, digest_of, spaced

VALUES = [
    torch.tensor([1, 2]),
    torch.tensor([[1, 2]]),
    torch.tensor([1.0, 2.0]),
    torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    torch.tensor([1.0, 3.0], dtype=torch.bfloat16),
    torch.tensor(True),
    torch.zeros(0),
    np.array([1, 2]),
    np.float32(1),
    1,
    1.0,
    "1",
    None,
    [1, 2],
    [[1], 2],
    [1, [2]],
    {"a": 1},
    {"a": 2},
    Image.new("L", (2, 1)),
    Image.new("L", (1, 2)),
]


def test_values_that_differ_have_other_digests():
    found = [digest_of(value) for value in VALUES]
    assert all(found)
    assert len(set(found)) == len(VALUES)


def test_equal_values_have_equal_digests_whatever_their_strides():
    x = torch.arange(6).reshape(2, 3)
    assert digest_of(x) == digest_of(x.t().contiguous().t()) == digest_of(x.clone())
    assert digest_of((x, 1)) == digest_of([x, 1])


@pytest.mark.parametrize("value", [object(), [1, object()], {"a": object()}, np.array([object()])])
def test_a_value_of_another_kind_has_none(value):
    assert digest_of(value) == ""


def test_blocks_are_combined_by_hand():
    one, two = "a" * 64, "b" * 64
    whole = hashlib.sha256((one + two).encode()).hexdigest()[:32]
    assert combined([one, two], 2, of=5) == Digest(whole, 2, 5, "a" * 8 + "b" * 8)
    assert BLOCKS == 1024


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(3, 5, [0, 1, 2]), (5, 3, [0, 2, 4]), (10, 4, [0, 3, 6, 9]), (9, 1, [0]), (0, 4, [])],
)
def test_positions_are_evenly_spaced_from_the_first_to_the_last(count, most, expected):
    assert spaced(count, most).tolist() == expected
