"""The nets that are timed, written as a user of SpikingJelly writes them; ways to train them."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikeprune.execution.forward import forward
from spikeprune.lab.run.compute import channels_last, place
from spikeprune.lab.settings.config import RunConfig

__all__ = [
    "CASES", "QUICK", "Case", "Trainer", "ours", "plain_torch", "spikingjelly", "spikingjelly_bf16"
]  # fmt: skip

POOL = 0
_VGG16 = (
    *(64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL),
    *(512, 512, 512, POOL, 512, 512, 512, POOL),
)


@dataclass(frozen=True)
class Case:
    """A net with its input: T steps of `batch` images `[channels, side, side]`."""

    name: str
    widths: tuple[int, ...]
    channels: int
    side: int
    time_steps: int
    batch: int

    def net(self) -> nn.Module:
        """Return the net in step mode 'm', always the same weights."""
        torch.manual_seed(0)
        parts: list[nn.Module] = []
        channels, side = self.channels, self.side
        for width in self.widths:
            if width == POOL:
                parts.append(layer.MaxPool2d(2))
                side //= 2
                continue
            parts += [
                layer.Conv2d(channels, width, 3, padding=1, bias=False),
                layer.BatchNorm2d(width),
                neuron.LIFNode(tau=4 / 3, surrogate_function=surrogate.ATan(), detach_reset=True),
            ]
            channels = width
        parts += [layer.Flatten(), layer.Linear(channels * side * side, 10)]
        net = nn.Sequential(*parts)
        functional.set_step_mode(net, "m")
        return net

    def batch_of(self, size: int | None = None) -> tuple[Tensor, Tensor]:
        """Return images and labels, always the same."""
        generator = torch.Generator().manual_seed(0)
        size = self.batch if size is None else size
        x = torch.rand(size, self.channels, self.side, self.side, generator=generator)
        return x, torch.randint(10, (size,), generator=generator)

    def __str__(self) -> str:
        return f"{self.name}, T {self.time_steps}, {self.side}x{self.side}, batch {self.batch}"


CASES = {
    "small": Case("small VGG 16-64", (16, 16, POOL, 32, 32, POOL, 64, 64), 1, 28, 4, 128),
    "mid": Case("mid VGG 64-256", (64, 64, POOL, 128, 128, POOL, 256, 256), 3, 32, 4, 32),
    "vgg16": Case("VGG16", _VGG16, 3, 32, 5, 16),
}
QUICK = Case("tiny VGG", (4, POOL, 8), 1, 8, 2, 2)


@dataclass
class Trainer:
    """A net with its optimiser and its way to train; `step` is one training step."""

    model: nn.Module
    forward: Callable[[nn.Module, Tensor], Tensor]
    images: Tensor
    labels: Tensor
    bf16: bool = False

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Return autocast to bf16, or nothing."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.images.device.type, torch.bfloat16)

    def step(self) -> None:
        """Train on the batch once."""
        self.optimizer.zero_grad()
        with self.precision():
            logits = self.forward(self.model, self.images)
        cross_entropy(logits.float().mean(0), self.labels).backward()
        self.optimizer.step()

    @torch.no_grad()
    def infer(self) -> Tensor:
        """Run the net on the batch."""
        with self.precision():
            return self.forward(self.model, self.images)


def _plain(time_steps: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return the loop that SpikingJelly's own examples show."""

    def run(model: nn.Module, images: Tensor) -> Tensor:
        functional.reset_net(model)
        return model(images.unsqueeze(0).repeat(time_steps, 1, 1, 1, 1))

    return run


def _placed(case: Case, net: nn.Module | None, size: int | None, device: str):
    model = copy.deepcopy(case.net() if net is None else net).to(device)
    return model, *(tensor.to(device) for tensor in case.batch_of(size))


def spikingjelly(
    case: Case, *, net: nn.Module | None = None, size: int | None = None, device: str = "cpu"
) -> Trainer:
    """Return SpikingJelly's torch path in fp32."""
    model, x, y = _placed(case, net, size, device)
    return Trainer(model, _plain(case.time_steps), x, y)


def spikingjelly_bf16(
    case: Case, *, net: nn.Module | None = None, size: int | None = None, device: str = "cpu"
) -> Trainer:
    """Return SpikingJelly with the switches that a user who knows them sets."""
    model, x, y = _placed(case, net, size, device)
    model = model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    return Trainer(model, _plain(case.time_steps), x, y, bf16=True)


def ours(
    case: Case,
    *,
    net: nn.Module | None = None,
    size: int | None = None,
    device: str = "cpu",
    bf16: bool = True,
) -> Trainer:
    """Return the net as a run trains it: fused, compiled, channels_last, static first layer."""
    model, x, y = _placed(case, net, size, device)
    precision = "bf16" if bf16 else "fp32"
    config = RunConfig(data="", model="", time_steps=case.time_steps, precision=precision)
    compiled = case.side > QUICK.side  # a quick look does not wait for a compiler
    place(model, config, hoisted=True, compiled=compiled)
    x = channels_last(x)

    def run(model: nn.Module, images: Tensor) -> Tensor:
        return forward(model, images, time_steps=case.time_steps)

    return Trainer(model, run, x, y, bf16=bf16)


class _Step(torch.autograd.Function):
    """A step at 0 with a rectangular surrogate, as research code writes it."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (u,) = ctx.saved_tensors
        return gradient * (u.abs() < 0.5)


class _OwnLIF(nn.Module):
    def forward(self, x):
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = v + (current - v) / 2
            spikes.append(_Step.apply(v - 1))
            v = v - spikes[-1]
        return torch.stack(spikes)


class _PlainNet(nn.Module):
    def __init__(self, channels: int, time_steps: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.readout = nn.Linear(channels, 10)
        self.lif1, self.lif2, self.steps = _OwnLIF(), _OwnLIF(), time_steps

    def forward(self, x):
        x = self.lif1(self.first(x).expand(self.steps, -1, -1, -1, -1))
        x = self.lif2(self.second(x.flatten(0, 1)).unflatten(0, (self.steps, -1)))
        return self.readout(x.mean((0, 3, 4)))


def plain_torch(channels: int, *, time_steps: int) -> nn.Module:
    """Return a net of two convolutions with neurons of its own, which no framework knows."""
    torch.manual_seed(0)
    return _PlainNet(channels, time_steps)
