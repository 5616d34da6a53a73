"""BatchNorms folded, measured and calibrated, against BatchNorm itself."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.errors import DataError, ModelError
from spikeprune.execution.batchnorm import calibrate_norms, fold_batchnorm, norm_gain
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


def test_the_gain_is_what_a_norm_does_to_a_difference():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).eval()
    norm.weight.data, norm.running_var.data = torch.tensor([1.0, -2.0, 0.5]), torch.rand(3) + 0.1
    norm.bias.data, norm.running_mean.data = torch.randn(3), torch.randn(3)
    x = torch.randn(1, 3, 1, 1)
    change = (norm(x + 1) - norm(x)).flatten().abs().detach()
    torch.testing.assert_close(norm_gain(nn.Sequential(norm), ("0",), 3), change)


def test_several_norms_give_their_mean_and_none_gives_one():
    model = nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm1d(2, affine=False)])
    model[0].weight.data = torch.tensor([1.0, 3.0, 2.0, 2.0])  # 2 positions a channel
    plain = 1 / (1 + 1e-5) ** 0.5
    expected = torch.tensor([1.5, 1.5]) * plain
    torch.testing.assert_close(norm_gain(model, ("0", "1"), 2), expected)
    assert norm_gain(model, (), 2).tolist() == [1.0, 1.0]


def test_a_norm_without_statistics_is_refused():
    model = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(ModelError, match=r"'0'.*track_running_stats=True"):
        norm_gain(model, ("0",), 2)


def conv_norm_spike():
    torch.manual_seed(0)
    model = nn.Sequential(layer.Conv2d(2, 3, 3, padding=1), layer.BatchNorm2d(3), neuron.IFNode())
    functional.set_step_mode(model, "m")
    return model


def recordings(count=3, size=5):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, size, 2, 4, 4, generator=generator) for _ in range(count)]


def test_calibrated_norms_have_the_statistics_of_the_data():
    model, batches = conv_norm_spike().eval(), recordings()
    weights = model[0].weight.detach().clone()
    small = 100 * batches[0][:, :2]  # less than half a batch
    labelled = [(x, torch.zeros(len(x))) for x in batches[1:]]
    calibrate_norms(model, [batches[0], *labelled, small], forward=model)
    outputs = [model[0](x) for x in batches]
    means = torch.stack([y.mean((0, 1, 3, 4)) for y in outputs]).mean(0)
    spread = torch.stack([y.var((0, 1, 3, 4)) for y in outputs]).mean(0)
    torch.testing.assert_close(model[1].running_mean, means)
    torch.testing.assert_close(model[1].running_var, spread)
    assert torch.equal(model[0].weight, weights)
    assert not any(module.training for module in model.modules())
    assert model[2].v == 0.0


def test_after_an_error_modes_and_momentum_are_as_before():
    model = conv_norm_spike().train()

    def fail(x):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        calibrate_norms(model, recordings(), forward=fail)
    assert all(module.training for module in model.modules())
    assert model[1].momentum == 0.1


def test_calibrating_without_data_is_refused():
    model = conv_norm_spike()
    with pytest.raises(DataError, match="at least one batch"):
        calibrate_norms(model, [], forward=model)
