"""Averages of the weights (EMA) keep dead weights alive: the pruner says so, two lines mend it."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spikeprune import Pruner, compact, cut
from spikeprune.errors import ModelError
from spikeprune.pruning.averaged_copies import apply_to, notes_on_averages
from spikeprune.science.masks import Mask


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def mask():
    live = torch.ones(3, 4, dtype=torch.bool)
    live[0] = False
    return Mask({"0.weight": live})


def test_the_dead_weights_of_a_copy_become_zero_and_no_other():
    model, twin = net(), net()
    apply_to(twin, mask())
    assert not twin[0].weight[0].any()
    assert torch.equal(twin[0].weight[1:], model[0].weight[1:])
    assert torch.equal(twin[2].weight, model[2].weight)
    average = AveragedModel(model)
    apply_to(average, mask())
    assert torch.equal(average.module[0].weight, twin[0].weight)


def test_a_net_that_is_no_copy_is_refused_unchanged():
    for other in (nn.Sequential(nn.Linear(4, 2)), nn.Linear(4, 3)):
        with pytest.raises(ModelError, match=r"1 of 1 pruned tensors .*\(0\.weight\)"):
            apply_to(other, mask())
        assert all(p.all() for p in other.parameters())


def test_only_averages_of_this_net_with_dead_weights_are_noted():
    model = net()
    assert not notes_on_averages(model, mask())
    average = AveragedModel(model)
    other = AveragedModel(nn.Sequential(nn.Linear(4, 5)))  # of another shape
    (note,) = notes_on_averages(model, mask())
    assert "an AveragedModel of this net has 4 dead weights that are not 0" in note
    apply_to(average, mask())
    assert not notes_on_averages(model, mask())
    assert other.module[0].weight.all()


def trained(average):
    """Prune for 6 steps and return the pruner and the average of the weights."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    made = {"method": "magnitude", "sparsity": 0.5, "every": 2, "total_steps": 6}
    pruner = Pruner(model, optimizer, torch.zeros(1, 4), time_steps=1, **made)
    ema = average(model)
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.rand(5, 4)).square().sum().backward()
        optimizer.step()
        pruner.step()
        if isinstance(ema, AveragedModel):
            ema.update_parameters(model)
    return pruner, ema


def emas(model):
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))


@pytest.mark.parametrize("average", [emas, AveragedModel, copy.deepcopy])
def test_an_average_has_the_zeros_of_the_masks_after_one_line(average):
    pruner, ema = trained(average)
    dead = {name: ~live for name, live in pruner.mask.items()}
    inside = getattr(ema, "module", ema)
    alive = sum(int(inside.get_parameter(n)[d].count_nonzero()) for n, d in dead.items())
    assert alive == 9  # half of 12 + 6
    said = [note for note in pruner.notes if "AveragedModel" in note]
    assert len(said) == isinstance(ema, AveragedModel)
    pruner.apply_to(inside)
    for name, where in dead.items():
        assert not inside.get_parameter(name)[where].any()
        assert inside.get_parameter(name)[~where].all()
    assert pruner.density == 0.5
    pruner.close()


def test_the_cut_says_it_too_and_the_averages_can_be_cut():
    pruner, ema = trained(emas)
    assert "9 dead weights" in next(n for n in cut(pruner).notes if "AveragedModel" in n)
    pruner, ema = trained(emas)
    pruner.apply_to(ema.module)
    pruner.model.load_state_dict(ema.module.state_dict())
    x = torch.rand(7, 4)
    expected = ema(x)
    small = compact(pruner)
    assert torch.allclose(small(x), expected, atol=1e-6)
