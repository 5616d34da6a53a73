"""Unsound weights are named by tensor, and sound ones of every kind pass."""

import warnings

import pytest
import torch
from torch import nn

from spikeprune import evaluate
from spikeprune.errors import ModelError
from spikeprune.execution.sound_weights import require_sound, unsound


def net():
    return nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(12, 2))


def refused(model):
    with pytest.raises(ModelError) as caught:
        require_sound(model)
    return str(caught.value)


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.running_mean", "3.weight"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite(name, value):
    model = net()
    model.state_dict()[name].flatten()[-1] = value
    size = model.state_dict()[name].numel()
    assert f"{name!r} holds values that are not finite (1 of {size});" in refused(model)


def test_a_variance_below_zero_but_not_a_mean():
    model = net()
    model[1].running_mean -= 2
    require_sound(model)
    model[1].running_var[1] = -0.5
    message = refused(model)
    assert "'1.running_var' holds a variance below 0 (-0.5)" in message
    assert "update_bn" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_types_are_sound(dtype):
    require_sound(net().to(dtype))
    model = net().to(dtype)
    model[0].weight.data[0] = torch.nan
    assert "not finite (2 of 6)" in refused(model)


def test_one_byte_floats_are_sound():
    model = nn.Linear(4, 2)
    model.weight.data = model.weight.data.to(torch.float8_e4m3fn)
    require_sound(model)
    model.weight.data = torch.full((2, 4), torch.nan).to(torch.float8_e4m3fn)
    assert "'weight' holds values that are not finite (8 of 8)" in refused(model)


def test_layers_of_integers_or_complex_numbers():
    model = net()
    model[3].weight = nn.Parameter(torch.ones(2, 12, dtype=torch.int8), requires_grad=False)
    assert "'3.weight' holds integers (int8)" in refused(model)
    model[3].weight = nn.Parameter(torch.ones(2, 12, dtype=torch.complex64))
    assert "'3.weight' holds complex numbers (complex64)" in refused(model)


def test_a_quantised_module():
    model = net()
    with warnings.catch_warnings(action="ignore"):  # the module is deprecated
        model[3] = torch.ao.nn.quantized.dynamic.Linear(12, 2)
    message = refused(model)
    assert message.startswith("3 is quantised (Linear); give the net in floating numbers")


def test_layers_without_values():
    assert "'0.weight' has no values yet" in refused(nn.Sequential(nn.LazyLinear(3)))
    assert "'weight' has no values yet" in refused(nn.Linear(2, 2, device="meta"))


def test_tables_and_masks_of_other_types_are_the_nets_own_affair():
    model = net()
    model.table = nn.Parameter(torch.arange(3), requires_grad=False)
    model.filters = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    model.register_buffer("attention", torch.full((2, 2), -torch.inf))
    require_sound(model)


def test_every_name_of_a_tied_weight_is_looked_at_in_a_file():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert unsound(model, state) is None
    state["1.weight"][0, 0] = torch.nan
    assert "'1.weight'" in unsound(model, state).what


def test_a_net_that_is_not_finite_is_not_evaluated():
    model = net()
    model[0].weight.data[0] = torch.nan
    with pytest.raises(ModelError, match=r"'0.weight' holds values that are not finite \(2 of 6\)"):
        evaluate(model, [(torch.zeros(1, 2, 4), torch.zeros(1).long())], time_steps=1)
