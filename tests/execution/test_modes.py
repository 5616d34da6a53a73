import pytest
from torch import nn

from spikeprune.execution.forward import evaluating


def fail_while_evaluating(model):
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        raise RuntimeError("stop")


def test_every_module_gets_its_own_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).train()
    model[1].eval()
    with pytest.raises(RuntimeError, match="stop"):
        fail_while_evaluating(model)
    assert [module.training for module in model.modules()] == [True, True, False]
