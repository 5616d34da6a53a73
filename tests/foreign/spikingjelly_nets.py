"""Spiking nets on SpikingJelly 2.x as research code writes them, each with one habit of its own."""

import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from tests.foreign.walk import Net
from torch import nn
from torch.utils.checkpoint import checkpoint

T = 2


def lif(**options):
    """A LIF neuron with a low threshold, so that small nets fire after a few steps of training."""
    settings = {"tau": 2.0, "v_threshold": 0.2, "detach_reset": True, "step_mode": "m"}
    return neuron.LIFNode(**settings | options, surrogate_function=surrogate.ATan())


class Audio(nn.Module):
    """Sound `[B, 1, samples]` by Conv1d; repeats it itself, answers `[B, K]`."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            layer.Conv1d(1, 8, 9, stride=4, padding=4, bias=False, step_mode="m"),
            layer.BatchNorm1d(8, step_mode="m"),
            lif(),
            layer.Conv1d(8, 12, 5, stride=2, padding=2, bias=False, step_mode="m"),
            layer.BatchNorm1d(12, step_mode="m"),
            lif(),
            layer.AvgPool1d(8, step_mode="m"),
        )
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.features(x.unsqueeze(0).repeat(T, 1, 1, 1))
        return self.head(x.flatten(2)).mean(0)


class Recordings(nn.Module):
    """Recordings `[B, T, 2, H, W]`; layers on `flatten(0, 1)`, neurons on `[T, B, ...]`."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1, self.lif1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), lif()
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.lif2 = lif(v_threshold=0.02)
        self.pool, self.head = nn.AvgPool2d(2), nn.Linear(8 * 4, 3)

    def block(self, x, conv, norm, fire):
        steps, batch = x.shape[:2]
        x = self.pool(norm(conv(x.flatten(0, 1))))
        return fire(x.view(steps, batch, *x.shape[1:]).contiguous())

    def forward(self, x):
        x = self.block(x.transpose(0, 1), self.conv1, self.norm1, self.lif1)
        x = self.block(x, self.conv2, self.norm2, self.lif2)
        return self.head(x.flatten(2)).mean(0)


class Patches(nn.Module):
    """Patches of an image as spikes `[T, B, N, D]`."""

    def __init__(self, width=16):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 2, stride=2, bias=False)
        self.norm, self.lif = nn.BatchNorm2d(width), lif()

    def forward(self, x):
        steps, batch = x.shape[:2]
        x = self.norm(self.conv(x.flatten(0, 1)))
        x = self.lif(x.unflatten(0, (steps, batch)))
        return x.flatten(3).transpose(2, 3)


class Tokens(nn.Module):
    """A linear layer on tokens `[T, B, N, D]`, BatchNorm over features, and a neuron."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm, self.lif = nn.BatchNorm1d(outputs), lif()

    def forward(self, x):
        y = self.linear(x)
        y = self.norm(y.flatten(0, 1).transpose(1, 2)).transpose(1, 2).reshape(y.shape)
        return self.lif(y)


class SelfAttention(nn.Module):
    """Spiking self-attention without softmax, in heads: products of spikes."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (Tokens(width, width) for _ in range(4))
        self.fire = lif()

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)

    def forward(self, x):
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        x = (q @ k.transpose(-2, -1) @ v) * 0.25
        return self.out(self.fire(x.transpose(2, 3).flatten(3)))


class QueryKeyAttention(nn.Module):
    """The sum of the query over features fires a gate per token, which passes keys."""

    def __init__(self, width=16):
        super().__init__()
        self.q, self.k, self.out = (Tokens(width, width) for _ in range(3))
        self.gate = lif()

    def forward(self, x):
        gate = self.gate(self.q(x).sum(-1, keepdim=True))
        return self.out(gate * self.k(x))


class DrivenAttention(nn.Module):
    """Spike-driven attention: masks and additions of `[T, B, D, N]`, the residual in potentials."""

    def __init__(self, width=16):
        super().__init__()
        self.first, self.fire = lif(), lif()
        self.parts = nn.ModuleList(
            nn.Sequential(
                layer.Conv1d(width, width, 1, bias=False, step_mode="m"),
                layer.BatchNorm1d(width, step_mode="m"),
                lif(),
            )
            for _ in range(3)
        )
        self.out = layer.Conv1d(width, width, 1, bias=False, step_mode="m")
        self.norm = layer.BatchNorm1d(width, step_mode="m")

    def forward(self, x):
        spikes = self.first(x.transpose(2, 3))
        q, k, v = (part(spikes) for part in self.parts)
        mask = self.fire((k * v).sum(-1, keepdim=True))
        return x + self.norm(self.out(q * mask)).transpose(2, 3)


class Transformer(nn.Module):
    """Patches, one attention, an MLP of tokens; the head reads the mean over tokens."""

    def __init__(self, attention, width=16):
        super().__init__()
        self.patches, self.attention = Patches(width), attention
        self.mlp = nn.Sequential(Tokens(width, 2 * width), Tokens(2 * width, width))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patches(x.unsqueeze(0).repeat(T, 1, 1, 1, 1))
        x = x + self.attention(x)
        x = x + self.mlp(x)
        return self.head(x.mean(2)).mean(0)


class Multihead(nn.Module):
    """The attention of torch on spikes."""

    def __init__(self):
        super().__init__()
        self.patches, self.attention = Patches(), nn.MultiheadAttention(16, 2, batch_first=True)
        self.fire, self.head = lif(v_threshold=0.02), nn.Linear(16, 3)

    def forward(self, x):
        x = self.patches(x.expand(T, *x.shape))
        steps, batch = x.shape[:2]
        x = x.flatten(0, 1)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.fire(x.unflatten(0, (steps, batch))).mean(2)).mean(0)


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a concatenated skip; answers an image."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(layer.Conv2d(1, 6, 3, padding=1), layer.BatchNorm2d(6), lif())
        self.low = nn.Sequential(
            layer.Conv2d(6, 8, 3, padding=1, stride=2), layer.BatchNorm2d(8), lif()
        )
        self.up = nn.Sequential(layer.ConvTranspose2d(8, 6, 2, stride=2), lif())
        self.mix = nn.Sequential(layer.Conv2d(12, 8, 3, padding=1), layer.BatchNorm2d(8), lif())
        self.out = layer.Conv2d(8, 1, 1)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        skip = self.down(x.expand(T, *x.shape))
        x = self.mix(torch.cat([skip, self.up(self.low(skip))], 2))
        return self.out(x).mean(0)


class NormPerStep(nn.Module):
    """BatchNorm through time: a norm for every time step; the loop is in the net."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norms1 = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(T))
        self.norms2 = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(T))
        self.lif1, self.lif2 = lif(step_mode="s"), lif(step_mode="s")
        self.head = nn.Linear(8 * 16, 3)

    def forward(self, x):
        functional.reset_net(self)
        total = 0
        for norm1, norm2 in zip(self.norms1, self.norms2, strict=True):
            y = self.lif1(norm1(self.conv1(x)))
            y = nn.functional.avg_pool2d(self.lif2(norm2(self.conv2(y))), 2)
            total = total + self.head(y.flatten(1))
        return total / T


class Recurrent(nn.Module):
    """Spikes of the last step flow back, by SpikingJelly's container."""

    def __init__(self):
        super().__init__()
        cell = layer.LinearRecurrentContainer(lif(step_mode="s"), 16, 16, step_mode="m")
        self.body = nn.Sequential(layer.Linear(12, 16, step_mode="m"), cell)
        self.head = layer.Linear(16, 3, step_mode="m")

    def forward(self, x):
        return self.head(self.body(x.expand(T, *x.shape)))


class Dropped(nn.Module):
    """Dropout that stays the same over time, ahead of layers that can be pruned."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(1, 8, 3, padding=1, bias=False),
            layer.BatchNorm2d(8),
            lif(),
            layer.Dropout2d(0.2),
            layer.Conv2d(8, 8, 3, padding=1, bias=False),
            layer.BatchNorm2d(8),
            lif(),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Dropout(0.5),
            layer.Linear(8 * 16, 20),
            lif(),
            layer.Linear(20, 3),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)


class Residual(nn.Module):
    """A block that is left out at random for each sample (stochastic depth)."""

    def __init__(self, width=8, drop=0.3):
        super().__init__()
        self.drop = drop
        self.body = nn.Sequential(
            layer.Conv2d(width, width, 3, padding=1, bias=False),
            layer.BatchNorm2d(width),
            lif(),
            layer.Conv2d(width, width, 3, padding=1, bias=False),
            layer.BatchNorm2d(width),
            lif(),
        )

    def forward(self, x):
        functional.reset_net(self)  # a checkpoint runs it a second time
        y = self.body(x)
        if self.training:
            keep = torch.rand(1, x.shape[1], *[1] * (x.ndim - 2), device=x.device) >= self.drop
            y = y * keep / (1 - self.drop)
        return x + y


class Deep(nn.Module):
    """A stem and two residual blocks.

    `kept` runs the blocks under `torch.utils.checkpoint`, `poisson` draws spikes from the image.
    """

    def __init__(self, *, drop=0.0, kept=False, poisson=False):
        super().__init__()
        self.kept, self.poisson = kept, encoding.PoissonEncoder(step_mode="m") if poisson else None
        self.stem = nn.Sequential(
            layer.Conv2d(1, 8, 3, padding=1, bias=False), layer.BatchNorm2d(8), lif()
        )
        self.blocks = nn.ModuleList(Residual(drop=drop) for _ in range(2))
        self.pool, self.head = layer.AdaptiveAvgPool2d(1), layer.Linear(8, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        x = x.expand(T, *x.shape)
        x = self.stem(x if self.poisson is None else self.poisson(x.clamp(0, 1)))
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.kept else block(x)
        return self.head(self.pool(x).flatten(2))


def expanded(net, x):
    """Call the net with the batch repeated T times."""
    return net(x.expand(T, *x.shape))


def made(build, shape=(1, 8, 8), call=lambda net, x: net(x), **options):
    """A net of this file as it is called and trained."""
    return Net(
        build,
        shape,
        call,
        time_steps=T,
        **{"rate": 0.01, "options": {"allocation": "erk"}} | options,
    )


NETS = {
    "Conv1d audio": made(Audio, (1, 64)),
    "DVS, flatten(0, 1)": made(Recordings, (T, 2, 8, 8)),
    "Spikformer block": made(lambda: Transformer(SelfAttention())),
    "QK attention": made(lambda: Transformer(QueryKeyAttention())),
    "spike-driven attention": made(lambda: Transformer(DrivenAttention())),
    "multi-head attention of torch": made(Multihead),
    "U-Net, concatenation": made(UNet, evaluates=False),
    "BatchNorm through time": made(NormPerStep),
    "recurrent container": made(Recurrent, (12,)),
    "dropout": made(Dropped, call=expanded),
    "stochastic depth": made(lambda: Deep(drop=0.3)),
    "Poisson encoder": made(lambda: Deep(poisson=True)),
    "checkpointed blocks": made(lambda: Deep(kept=True)),
}
