"""Batches in the forms that people have them."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from spikeprune.data.batches import classes_of, input_of, pair_of
from spikeprune.errors import DataError

X, Y = torch.rand(4, 3), torch.tensor([2, 0, 1, 2])


@pytest.mark.parametrize("batch", [X, (X,), [X, Y], (X, Y, "name"), X.numpy(), (X.numpy(), Y)])
def test_the_input_comes_first(batch):
    assert torch.equal(input_of(batch), X)


@pytest.mark.parametrize("batch", [(X, Y), [X, Y], (X, Y, Y), (X.numpy(), Y.numpy())])
def test_pairs_and_more(batch):
    x, y = pair_of(batch)
    assert torch.equal(x, X)
    assert torch.equal(y, Y)


def test_an_input_may_be_anything_that_a_function_calls_the_net_with():
    assert pair_of(({"image": X}, Y))[0] == {"image": X}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": X, "label": Y}, r"a dict with 'image', 'label'; map them"),
        (X, r"expected a tensor or \(input, labels\), got a Tensor"),
        ("a", "got a str"),
        ((X,), "got tuple of 1"),
    ],
)
def test_other_forms_are_refused(batch, message):
    with pytest.raises(DataError, match=message):
        pair_of(batch)


@pytest.mark.parametrize(
    "labels",
    [Y, Y.float(), Y.int(), Y.to(torch.uint8), Y[:, None], one_hot(Y, 3), one_hot(Y, 3).float()],
)
def test_labels_of_every_form_are_classes(labels):
    found = classes_of(labels, 3)
    assert found.dtype == torch.int64
    assert torch.equal(found, Y)


@pytest.mark.parametrize(
    "labels",
    [Y + 1, Y - 1, Y + 0.5, torch.rand(4, 3), torch.zeros(4, 2, 2), one_hot(Y, 3) * 2],
)
def test_labels_that_are_no_classes(labels):
    with pytest.raises(DataError, match="expected one label from 0 to 2 for each sample"):
        classes_of(labels, 3)


def test_numpy_strings_are_no_labels():
    with pytest.raises(DataError, match="labels as a tensor"):
        pair_of((X, np.array(["a"])))
