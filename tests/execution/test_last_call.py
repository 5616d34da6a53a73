"""The last call of a model in training."""

import copy
import io

import torch
from torch import nn

from spikeprune.execution.last_call import LastCall


def test_it_is_that_of_training():
    model = nn.Linear(2, 2)
    record, x = LastCall.of(model), torch.rand(3, 2)
    assert record.arguments is None
    model(x)
    model.eval()(torch.rand(1, 2))
    assert record.arguments[0][0] is x
    record.close()
    model.train()(torch.rand(1, 2))
    assert record.arguments[0][0] is x
    assert not model._forward_pre_hooks


def test_copies_and_files_of_the_model_remember_nothing():
    model = nn.Linear(2, 2)
    record = LastCall.of(model)
    again = copy.deepcopy(model)
    again(torch.rand(1, 2))
    torch.save(model, file := io.BytesIO())
    assert len(file.getvalue()) > 0
    assert record.arguments is None
