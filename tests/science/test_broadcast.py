"""Values per channel, arranged against the definition of a (grouped) convolution's weight."""

import pytest
import torch

from spikeprune.errors import ModelError
from spikeprune.science.broadcast import per_input, per_output


@pytest.mark.parametrize("kernel", [(), (3,), (2, 3)])
def test_a_weight_belongs_to_its_row_s_output_channel(kernel):
    weight = torch.zeros(4, 2, *kernel)
    found = per_output(weight, torch.arange(4.0).requires_grad_())
    assert found.shape == (4, *[1] * (weight.ndim - 1))
    assert not found.requires_grad
    for row in range(4):
        assert bool((found.expand_as(weight)[row] == row).all())


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_a_weight_reads_its_group_s_input_channel(groups, kernel):
    outputs, inputs = 6, 2  # of the weight: inputs of one group
    weight = torch.zeros(outputs, inputs, *kernel)
    rates = torch.arange(float(groups * inputs))
    found = per_input(weight, rates).expand_as(weight)
    for out in range(outputs):
        group = out // (outputs // groups)
        for i in range(inputs):
            assert bool((found[out, i] == rates[group * inputs + i]).all())


def test_values_that_do_not_fit_are_refused():
    weight = torch.zeros(4, 2, 3, 3)
    with pytest.raises(ModelError, match="expected 4 channel scores"):
        per_output(weight, torch.ones(2))
    for rates in (torch.ones(3), torch.ones(0), torch.ones(2, 1), torch.ones(6)):
        with pytest.raises(ModelError, match="one rate for each input channel"):
            per_input(weight, rates)
