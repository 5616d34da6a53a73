"""Back to earlier weights under the present masks."""

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.execution.forward import forward
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.rewind import rewind
from spikeprune.training.losses import loss_by_name

LOSS = loss_by_name("mean-logits")


def test_live_weights_and_statistics_are_rewound_and_dead_ones_stay_zero():
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Linear(6, 8), layer.BatchNorm1d(8), neuron.LIFNode(), layer.Linear(8, 3)
    )
    functional.set_step_mode(model, "m")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner = Pruner(
        model,
        optimizer,
        torch.zeros(1, 6),
        time_steps=2,
        total_steps=4,
        every=4,
        sparsity=0.5,
        regrow="none",
    )
    early = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(4):
        optimizer.zero_grad()
        x = torch.randn(5, 6)
        LOSS(forward(model, x, time_steps=2), torch.tensor([0, 1, 2, 0, 1])).backward()
        optimizer.step()
        pruner.step()
    assert not torch.equal(model[1].running_mean, early["1.running_mean"])
    rewind(pruner, early)
    for name, tensor in model.state_dict().items():
        mask = pruner.mask[name] if name in pruner.mask else torch.ones_like(tensor).bool()
        assert torch.equal(tensor, early[name] * mask), name
    assert pruner.mask.live == 36
    assert not optimizer.state
