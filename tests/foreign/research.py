"""Nets in the style of research code on SpikingJelly 2.x, our own: one structural trait each."""

import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from tests.foreign.net import Net, over_time
from tests.foreign.plain import T
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def lif(**options):
    return neuron.LIFNode(
        tau=1.5, v_threshold=0.5, surrogate_function=surrogate.ATan(), step_mode="m", **options
    )


def over_steps(module, x):
    """Run a layer of one step on `[T, B, ...]`."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Conv1dAudio(nn.Module):
    """Sound through one-dimensional convolutions."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv1d(1, 8, 5, stride=2, padding=2, bias=False),
            layer.BatchNorm1d(8),
            lif(),
            layer.Conv1d(8, 16, 5, stride=2, padding=2, bias=False),
            layer.BatchNorm1d(16),
            lif(),
            layer.Flatten(),
            layer.Linear(16 * 8, 3),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)


class Joined(nn.Module):
    """Recordings `[B, T, C, H, W]`; the layers of one step see `[T*B, ...]`."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1, self.lif1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), lif()
        self.conv2, self.norm2, self.lif2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), lif()
        self.head = nn.Linear(8 * 4, 3)

    def forward(self, x):
        x = x.transpose(0, 1)
        shape = x.shape[:2]
        x = self.norm1(self.conv1(x.flatten(0, 1))).unflatten(0, shape)
        x = F.avg_pool2d(self.lif1(x).flatten(0, 1), 2)
        x = self.lif2(self.norm2(self.conv2(x)).unflatten(0, shape))
        x = F.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, shape)
        return self.head(x.flatten(2)).mean(0)


class Patches(nn.Module):
    """Convolution, BatchNorm and neuron, twice; a token a position, `[T, B, N, C]`."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(1, half, 3, padding=1, bias=False)
        self.norm1, self.lif1 = nn.BatchNorm2d(half), lif()
        self.conv2 = nn.Conv2d(half, channels, 3, padding=1, bias=False)
        self.norm2, self.lif2 = nn.BatchNorm2d(channels), lif()

    def forward(self, x):
        x = self.lif1(over_steps(nn.Sequential(self.conv1, self.norm1), x))
        x = over_steps(nn.Sequential(nn.MaxPool2d(2), self.conv2, self.norm2), x)
        x = over_steps(nn.MaxPool2d(2), self.lif2(x))
        return x.flatten(3).transpose(2, 3)


class Tokens(nn.Module):
    """Linear layer, BatchNorm over the features and neuron, on tokens `[T, B, N, C]`."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs)
        self.lif = lif()

    def forward(self, x):
        y = self.linear(x.flatten(0, 1))
        y = self.norm(y.transpose(1, 2)).transpose(1, 2)
        return self.lif(y.unflatten(0, x.shape[:2]).contiguous())


class SelfAttention(nn.Module):
    """Products of spikes with spikes, in heads."""

    def __init__(self, size, heads):
        super().__init__()
        self.q, self.k, self.v = (Tokens(size, size) for _ in range(3))
        self.lif, self.out, self.heads = lif(), Tokens(size, size), heads

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)

    def forward(self, x):
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        mixed = (q @ k.transpose(-2, -1)) @ v * 0.25
        return self.out(self.lif(mixed.transpose(2, 3).flatten(3)))


class QKAttention(nn.Module):
    """A mask of tokens, the sum of Q over channels, times K."""

    def __init__(self, size):
        super().__init__()
        self.q, self.k, self.lif = Tokens(size, size), Tokens(size, size), lif()
        self.out = Tokens(size, size)

    def forward(self, x):
        mask = self.lif(self.q(x).sum(-1, keepdim=True))
        return self.out(mask * self.k(x))


class Transformer(nn.Module):
    """Patches, one block of attention and MLP with residual spikes, and a head."""

    def __init__(self, attention, size=16):
        super().__init__()
        self.patches, self.attention = Patches(size), attention(size)
        self.mlp = nn.Sequential(Tokens(size, 2 * size), Tokens(2 * size, size))
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        x = self.patches(x.expand(T, *x.shape))
        x = x + self.attention(x)
        x = x + self.mlp(x)
        return self.head(x.mean(2)).mean(0)


class MembraneShortcut(nn.Module):
    """Spike-driven: products and sums by element, and shortcuts between membrane potentials."""

    def __init__(self, size=16):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(1, size, 3, padding=1), nn.BatchNorm2d(size)
        self.fire = nn.ModuleList([lif() for _ in range(6)])
        self.qkv = nn.ModuleList([nn.Conv2d(size, size, 1, bias=False) for _ in range(3)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(size) for _ in range(3)])
        self.out, self.out_norm = nn.Conv2d(size, size, 1), nn.BatchNorm2d(size)
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        x = over_steps(nn.Sequential(self.stem, self.stem_norm), x.expand(T, *x.shape))
        s = self.fire[0](x)
        q, k, v = (
            fire(over_steps(nn.Sequential(conv, norm), s))
            for conv, norm, fire in zip(self.qkv, self.norms, self.fire[1:4], strict=True)
        )
        mask = self.fire[4]((k * v).sum((-2, -1), keepdim=True))
        x = x + over_steps(nn.Sequential(self.out, self.out_norm), mask * q)
        return self.head(self.fire[5](x).mean((-2, -1))).mean(0)


class UNet(nn.Module):
    """Down and up, with a concatenation of spikes."""

    def __init__(self):
        super().__init__()
        self.down, self.lif1 = layer.Conv2d(1, 6, 3, padding=1), lif()
        self.low, self.lif2 = layer.Conv2d(6, 8, 3, stride=2, padding=1), lif()
        self.up, self.lif3 = layer.ConvTranspose2d(8, 6, 2, stride=2), lif()
        self.join, self.lif4 = layer.Conv2d(12, 6, 3, padding=1), lif()
        self.head = layer.Linear(6, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        skip = self.lif1(self.down(x))
        up = self.lif3(self.up(self.lif2(self.low(skip))))
        x = self.lif4(self.join(torch.cat([skip, up], 2)))
        return self.head(x.mean((3, 4)))


class NormPerStep(nn.Module):
    """BatchNorm with parameters of its own for every time step (BNTT)."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Linear(8 * 16, 3)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8) for _ in range(T)])
        self.lif = neuron.LIFNode(tau=1.5, v_threshold=0.5)

    def forward(self, x):
        functional.reset_net(self)
        steps = [self.lif(norm(self.conv(x))) for norm in self.norms]
        return sum(self.head(F.max_pool2d(s, 2).flatten(1)) for s in steps) / T


class Recurrent(nn.Module):
    """Spikes flow back by a container of the framework."""

    def __init__(self):
        super().__init__()
        fire = neuron.LIFNode(tau=1.5, v_threshold=0.5)
        self.inward = layer.Linear(12, 24, step_mode="m")
        self.cell = layer.LinearRecurrentContainer(fire, 24, 24, step_mode="m")
        self.out = layer.Linear(24, 3, step_mode="m")

    def forward(self, x):
        return self.out(self.cell(self.inward(x)))


class DropPath(nn.Module):
    """Drops a branch for some samples in training."""

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(1, x.shape[1], 1, 1, 1) < 0.8) / 0.8


class Block(nn.Module):
    """Convolution, BatchNorm and neuron."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm, self.lif = layer.BatchNorm2d(outputs), lif()
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.lif(self.norm(self.conv(x)))


class Blocks(nn.Module):
    """Two blocks, whatever is done to the second of them, and a head."""

    def __init__(self, wrap=lambda block, x: x + block(x), ahead=None):
        super().__init__()
        self.stem, self.block, self.wrap = Block(1, 8), Block(8, 8), wrap
        self.ahead = ahead() if ahead else nn.Identity()
        self.head = layer.Linear(8 * 64, 3, step_mode="m")

    def forward(self, x):
        return self.head(self.wrap(self.block, self.stem(self.ahead(x))).flatten(2))


class StochasticDepth(Blocks):
    """The second block is left out for some samples."""

    def __init__(self):
        super().__init__()
        self.drop = DropPath()

    def forward(self, x):
        x = self.stem(x)
        return self.head((x + self.drop(self.block(x))).flatten(2))


class Skipped(Blocks):
    """The second block is not called at all in some forwards of training."""

    def forward(self, x):
        x = self.stem(x)
        if not self.training or torch.rand(()) < 0.8:
            x = x + self.block(x)
        return self.head(x.flatten(2))


class Dropped(nn.Module):
    """Dropout ahead of layers that can be pruned."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            Block(1, 8),
            layer.Dropout2d(0.2),
            Block(8, 8),
            layer.Flatten(),
            layer.Dropout(0.5),
            layer.Linear(8 * 64, 16),
            lif(),
            layer.Dropout(0.5),
            layer.Linear(16, 3),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)


class PoissonImage(nn.Module):
    """The net turns the image into random spikes."""

    def __init__(self):
        super().__init__()
        self.encode, self.body = encoding.PoissonEncoder(step_mode="s"), Blocks()

    def forward(self, x):
        return self.body(torch.stack([self.encode(x) for _ in range(T)])).mean(0)


class MultiHead(nn.Module):
    """PyTorch's attention between spiking layers."""

    def __init__(self):
        super().__init__()
        self.patches = Patches(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp, self.head = Tokens(16, 32), nn.Linear(32, 3)

    def forward(self, x):
        x = self.patches(x.expand(T, *x.shape))
        flat = x.flatten(0, 1)
        mixed = self.attention(flat, flat, flat, need_weights=False)[0]
        return self.head(self.mlp(mixed.unflatten(0, x.shape[:2])).mean(2)).mean(0)


def _checkpoint(block, x, use_reentrant):
    return checkpoint(block, x, use_reentrant=use_reentrant) if block.training else block(x)


def _checkpointed(use_reentrant):
    return Blocks(wrap=lambda block, x: _checkpoint(block, x, use_reentrant))


_IMAGE = (1, 8, 8)

NETS = {
    "Conv1d, audio": Net(Conv1dAudio, (1, 32), over_time),
    "DVS, flatten(0, 1)": Net(Joined, (T, 2, 8, 8)),
    "Spikformer block": Net(lambda: Transformer(lambda n: SelfAttention(n, 2)), _IMAGE),
    "QK attention": Net(lambda: Transformer(QKAttention), _IMAGE),
    "spike-driven, membrane shortcut": Net(MembraneShortcut, _IMAGE),
    "U-Net of the framework": Net(UNet, _IMAGE, over_time),
    "BNTT": Net(NormPerStep, _IMAGE),
    "recurrent container": Net(Recurrent, (12,), over_time),
    "dropout": Net(Dropped, _IMAGE, over_time),
    "stochastic depth": Net(StochasticDepth, _IMAGE, over_time),
    "block skipped at random": Net(Skipped, _IMAGE, over_time),
    "Poisson encoder": Net(PoissonImage, _IMAGE),
    "checkpointing": Net(lambda: _checkpointed(False), _IMAGE, over_time),
    "checkpointing, reentrant": Net(lambda: _checkpointed(True), _IMAGE, over_time),
    "torch.compile": Net(lambda: torch.compile(Blocks()), _IMAGE, refused="torch.compile"),
    "MultiheadAttention": Net(MultiHead, _IMAGE),
}
