import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.execution.forward import forward

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}
# BatchNorms that stay: pre-activation blocks normalise spikes' sums, behind an addition.
LEFT = {"resnet19-pre": 8}


def lively(model):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.2, 1, generator=generator)
                module.running_mean.uniform_(-0.2, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def norms(model):
    return [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_folded_zoo_model_is_the_same_function(name):
    torch.manual_seed(0)
    model = lively(
        zoo.build(
            name, classes=5, in_channels=2, image_size=32, time_steps=3, **TINY[name]
        ).double()
    )
    x = torch.randn(2, 2, 32, 32, dtype=torch.float64)
    keys = list(model.state_dict())
    with torch.no_grad():
        expected = forward(model, x, time_steps=3)
        folded = fold_batchnorm(model, x[:1])
        torch.testing.assert_close(forward(folded, x, time_steps=3), expected, atol=1e-5, rtol=0)
        assert torch.equal(forward(model, x, time_steps=3), expected)
    assert expected.abs().sum() > 0
    assert list(model.state_dict()) == keys
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in folded.modules())
    assert len(norms(folded)) == LEFT.get(name, 0) < len(norms(model))


class Net(nn.Module):
    """Norms that may be folded, and norms that may not."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = layer.Conv2d(1, 3, 3), layer.BatchNorm2d(3)
        self.conv2, self.norm2 = layer.Conv2d(3, 3, 1), layer.BatchNorm2d(3)
        self.conv3, self.norm3 = layer.Conv2d(3, 3, 1), layer.BatchNorm2d(3)
        self.conv4, self.norm4 = layer.Conv2d(3, 3, 1), nn.BatchNorm2d(3, affine=False)
        self.conv5 = layer.Conv2d(3, 3, 1)
        self.norm5 = nn.BatchNorm2d(3, track_running_stats=False)
        self.spike1, self.spike2 = neuron.IFNode(), neuron.IFNode()
        self.flatten, self.linear = layer.Flatten(), layer.Linear(12, 4)
        self.norm6 = layer.BatchNorm1d(4)

    def forward(self, x):
        x = self.spike1(self.norm1(self.conv1(x)))
        twice = self.conv2(x)
        x = self.norm2(twice) + twice  # read twice: stays
        x = self.spike2(self.norm3(self.conv3(x) + x))  # behind an addition: stays
        x = self.norm4(self.conv4(x))
        x = self.norm5(self.conv5(x))  # no running statistics: stays
        return self.norm6(self.linear(self.flatten(x)))


def test_only_the_only_reader_is_folded():
    torch.manual_seed(1)
    model, x = lively(Net()).double(), torch.randn(2, 1, 4, 4, dtype=torch.float64)
    folded = fold_batchnorm(model, x[:1])
    assert norms(folded) == ["norm2", "norm3", "norm5"]
    torch.testing.assert_close(
        forward(folded, x, time_steps=2, layout="step"),
        forward(model, x, time_steps=2, layout="step"),
    )
    assert folded.conv4.bias is not None


def test_a_layer_with_state_of_its_own_is_left_alone():
    model = lively(Net())
    model.conv1.register_buffer("extra", torch.zeros(1))
    model.norm4.register_buffer("extra", torch.zeros(1))
    assert norms(fold_batchnorm(model, torch.randn(1, 1, 4, 4))) == [
        "norm1", "norm2", "norm3", "norm4", "norm5",
    ]  # fmt: skip


def test_training_mode_and_frozen_parameters_are_kept():
    model = Net().train().requires_grad_(False)
    folded = fold_batchnorm(model, torch.randn(1, 1, 4, 4))
    assert model.training
    assert model.norm1.training
    assert not folded.training
    assert norms(folded) == ["norm2", "norm3", "norm5"]
    assert not any(p.requires_grad for p in model.parameters())
