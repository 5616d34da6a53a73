"""Random spiking nets from a plain description, whose text can be pasted to build the net again."""

import functools
from dataclasses import MISSING, dataclass, fields, is_dataclass

import torch
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

IN, CLASSES = 2, 3
JOINS = ("none", "add", "sew", "cat")
POOLS = ("none", "max", "average", "stride")
NEURONS = ("IF", "LIF", "PLIF", "own")
LAYOUTS = ("sequence", "step", "batch")
DECAY, THRESHOLD = 0.6, 0.5  # of our own neuron


def short(made):
    """Return the text that makes a dataclass again, without the fields that have their default."""
    if isinstance(made, tuple):
        return f"({''.join(f'{short(part)}, ' for part in made)})"
    if not is_dataclass(made):
        return repr(made)
    parts = [
        f"{f.name}={short(getattr(made, f.name))}" for f in fields(made) if not _usual(made, f)
    ]
    return f"{type(made).__name__}({', '.join(parts)})"


def _usual(made, field):
    usual = field.default if field.default_factory is MISSING else field.default_factory()
    return getattr(made, field.name) == usual


@dataclass(frozen=True, repr=False)
class Block:
    """A convolution with its neurons, and how it is joined with what it read."""

    width: int
    join: str = "none"
    pool: str = "none"

    __repr__ = short


@dataclass(frozen=True, repr=False)
class Net:
    """A net: blocks, one hidden linear layer if `hidden` is above 0, and the classifier."""

    blocks: tuple[Block, ...]
    neuron: str = "LIF"
    soft: bool = False  # reset by subtraction
    norm: bool = True
    bias: bool = False
    hidden: int = 0
    size: int = 4  # pixels of a side
    time_steps: int = 2
    layout: str = "sequence"
    seed: int = 0

    __repr__ = short


class Fire(torch.autograd.Function):
    """A step at 0 with the surrogate gradient of an arc tangent."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad / (1 + (torch.pi * u) ** 2)


class OwnNeuron(nn.Module):
    """A leaky neuron in plain PyTorch: over the first axis, or with a state between calls."""

    def __init__(self, soft, sequence):
        super().__init__()
        self.soft, self.sequence, self.v = soft, sequence, 0.0

    def reset(self):
        self.v = 0.0

    def forward(self, x):
        if not self.sequence:
            return self.step(x)
        self.reset()
        return torch.stack([self.step(part) for part in x])

    def step(self, x):
        h = DECAY * self.v + x
        spike = Fire.apply(h - THRESHOLD)
        self.v = h - THRESHOLD * spike.detach() if self.soft else h * (1 - spike.detach())
        return spike


def neurons_for(net):
    """Return the neurons of one layer."""
    if net.neuron == "own":
        return OwnNeuron(net.soft, net.layout == "sequence")
    kind = getattr(neuron, {"PLIF": "ParametricLIFNode"}.get(net.neuron, f"{net.neuron}Node"))
    return kind(v_reset=None if net.soft else 0.0, surrogate_function=surrogate.ATan())


class Joined(nn.Module):
    """What a `Block` describes."""

    def __init__(self, net, block, width):
        super().__init__()
        self.join, stride = block.join, 2 if block.pool == "stride" else 1
        pools = {"max": layer.MaxPool2d, "average": layer.AvgPool2d}
        self.pool = pools[block.pool](2) if block.pool in pools else None
        self.stride = stride
        self.conv = layer.Conv2d(width, block.width, 3, stride, 1, bias=net.bias)
        self.norm = layer.BatchNorm2d(block.width) if net.norm else nn.Identity()
        self.fire = neurons_for(net)
        self.shortcut = None
        if block.join in ("add", "sew") and (width, stride) != (block.width, 1):
            self.shortcut = layer.Conv2d(width, block.width, 1, stride, bias=net.bias)
            self.shortcut_norm = layer.BatchNorm2d(block.width) if net.norm else nn.Identity()
            self.shortcut_fire = neurons_for(net) if block.join == "sew" else nn.Identity()
        self.width = block.width + (width if block.join == "cat" else 0)

    def forward(self, x):
        x = x if self.pool is None else self.pool(x)
        h = self.norm(self.conv(x))
        if self.join == "none":
            return self.fire(h)
        if self.join == "cat":
            kept = x[..., :: self.stride, :: self.stride]
            return torch.cat([kept, self.fire(h)], dim=-3)
        if self.shortcut is not None:
            x = self.shortcut_fire(self.shortcut_norm(self.shortcut(x)))
        return self.fire(h + x) if self.join == "add" else self.fire(h) + x


def halved(size, pool):
    """Return the pixels of a side behind a pool."""
    return size if pool == "none" else (size + (pool == "stride")) // 2


class FuzzNet(nn.Module):
    """What a `Net` describes; in layout `batch` it takes `[B, T, ...]` and loops over time."""

    def __init__(self, net):
        super().__init__()
        self.layout, width, size = net.layout, IN, net.size
        self.blocks = nn.Sequential()
        for block in net.blocks:
            self.blocks.append(Joined(net, block, width))
            width = self.blocks[-1].width
            size = halved(size, block.pool)
        self.flatten = layer.Flatten()
        width *= size * size
        self.hidden = layer.Linear(width, net.hidden, bias=net.bias) if net.hidden else None
        self.fire = neurons_for(net) if net.hidden else None
        self.head = layer.Linear(net.hidden or width, CLASSES)
        functional.set_step_mode(self, "m" if net.layout == "sequence" else "s")

    def forward(self, x):
        if self.layout != "batch":
            return self.once(x)
        self.rest()
        return torch.stack([self.once(step) for step in x.unbind(1)], dim=1)

    def once(self, x):
        x = self.flatten(self.blocks(x))
        return self.head(x if self.hidden is None else self.fire(self.hidden(x)))

    def rest(self):
        """Put the neurons to rest, as the owner of the net does between two batches."""
        functional.reset_net(self)
        for module in self.modules():
            if isinstance(module, OwnNeuron):
                module.reset()


def build(net):
    """Return the described net; weights, norms and biases are such that neurons do fire."""
    torch.manual_seed(net.seed)
    model = FuzzNet(net)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.mul_(2.5)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.5)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
    return model


def batch_for(net, number, size=3):
    """Return inputs `[T, B, C, H, W]` (layout `batch`: `[B, T, ...]`) and labels."""
    generator = torch.Generator().manual_seed(7919 * net.seed + number)
    x = torch.rand(net.time_steps, size, IN, net.size, net.size, generator=generator)
    y = torch.randint(CLASSES, (size,), generator=generator)
    return (x.transpose(0, 1) if net.layout == "batch" else x), y


def logits(model, x):
    """Run a net on a batch from rest, as its owner does; return `[B, K]`."""
    model.rest()
    if model.layout == "step":
        return torch.stack([model(step) for step in x]).mean(0)
    return model(x).mean(1 if model.layout == "batch" else 0)


def example_for(net):
    """Return the example that the net's layout asks for."""
    x, _ = batch_for(net, 0, size=1)
    return x if net.layout == "batch" else x[0]


BLOCKS = st.builds(
    Block, width=st.integers(2, 6), join=st.sampled_from(JOINS), pool=st.sampled_from(POOLS)
)
NETS = st.builds(
    Net,
    blocks=st.lists(BLOCKS, min_size=1, max_size=3).map(tuple),
    neuron=st.sampled_from(NEURONS),
    soft=st.booleans(),
    norm=st.booleans(),
    bias=st.booleans(),
    hidden=st.sampled_from([0, 3, 6]),
    size=st.sampled_from([4, 5, 8]),
    time_steps=st.integers(2, 3),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 10**4),
).filter(lambda net: functools.reduce(halved, (b.pool for b in net.blocks), net.size) > 0)
