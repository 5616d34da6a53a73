"""Spiking nets in plain PyTorch, as people write them: own neurons, time where they like."""

import torch
from torch import nn
from torch.nn import functional as F

T = 4


class Triangle(torch.autograd.Function):
    """A step at 0 with a triangular surrogate."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).float()

    @staticmethod
    def backward(ctx, g):
        (u,) = ctx.saved_tensors
        return g * (1 - u.abs()).clamp(min=0)


class Window(torch.autograd.Function):
    """A step at a threshold of its own, with a rectangular surrogate."""

    @staticmethod
    def forward(ctx, mem):
        ctx.save_for_backward(mem)
        return mem.gt(0.5).float()

    @staticmethod
    def backward(ctx, g):
        (mem,) = ctx.saved_tensors
        return g * ((mem - 0.5).abs() < 0.5).float()


class Vector(torch.autograd.Function):
    """A step at a threshold per channel, which learns."""

    @staticmethod
    def forward(ctx, mem, threshold):
        ctx.save_for_backward(mem, threshold)
        return (mem > threshold).float()

    @staticmethod
    def backward(ctx, g):
        mem, threshold = ctx.saved_tensors
        slope = g / (1 + (3 * (mem - threshold)) ** 2)
        return slope, -slope.sum_to_size(threshold.shape)


class SetUp(torch.autograd.Function):
    """A function with a `setup_context`."""

    @staticmethod
    def forward(u, alpha):
        return (u > 0).to(u)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.alpha = inputs[1]

    @staticmethod
    def backward(ctx, g):
        (u,) = ctx.saved_tensors
        return g * ctx.alpha / (1 + (ctx.alpha * u) ** 2), None


fire = Triangle.apply  # stored before anybody watches


class LoopLIF(nn.Module):
    """Loops over the first axis, soft reset."""

    def forward(self, x):
        v, out = torch.zeros_like(x[0]), []
        for step in x:
            v = 0.5 * v + step
            s = fire(v - 0.5)
            v = v - s * 0.5
            out.append(s)
        return torch.stack(out)


class StateLIF(nn.Module):
    """Keeps its potential between steps; `reset` puts it to rest."""

    def __init__(self):
        super().__init__()
        self.mem = None

    def reset(self):
        self.mem = None

    def forward(self, x):
        self.mem = x if self.mem is None else 0.6 * self.mem + x
        s = fire(self.mem - 0.4)
        self.mem = self.mem * (1 - s.detach())
        return s


class TupleLIF(nn.Module):
    """Takes and returns its state; computes its reset by the same function, as snnTorch does."""

    def forward(self, x, mem):
        reset = SetUp.apply(mem - 0.4, 2.0).detach()
        mem = 0.7 * mem + x - reset * 0.4
        return SetUp.apply(mem - 0.4, 2.0), mem


class SplitLIF(nn.Module):
    """Time and batch joined in one axis, `[T*B, ...]` or `[B*T, ...]`."""

    def __init__(self, first):
        super().__init__()
        self.first = first  # 't' or 'b'

    def forward(self, x):
        rows = x.unflatten(0, (T, -1)) if self.first == "t" else x.unflatten(0, (-1, T))
        rows = rows if self.first == "t" else rows.transpose(0, 1)
        v, out = 0, []
        for step in rows:
            v = 0.5 * v + step
            s = fire(v - 0.4)
            v = v * (1 - s)
            out.append(s)
        spikes = torch.stack(out, 0 if self.first == "t" else 1)
        return spikes.flatten(0, 1)


class Sequence(nn.Module):
    """`[T, B, F]` through layers and neurons that loop over time."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(12, 24), LoopLIF(), nn.Linear(24, 16), LoopLIF(), nn.Linear(16, 3)
        )

    def forward(self, x):
        return self.body(x)


class Stbp(nn.Module):
    """The whole net in one forward; the neuron is a function that calls the layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(8 * 4, 16), nn.Linear(16, 3)

    @staticmethod
    def update(layer, x, mem, spike):
        mem = mem * 0.2 * (1 - spike) + layer(x)
        return mem, Window.apply(mem)

    def forward(self, x):
        c1 = s1 = x.new_zeros(len(x), 6, 8, 8)
        c2 = s2 = x.new_zeros(len(x), 8, 4, 4)
        h1 = z1 = x.new_zeros(len(x), 16)
        h2 = z2 = total = x.new_zeros(len(x), 3)
        for _ in range(T):
            c1, s1 = self.update(self.conv1, x, c1, s1)
            c2, s2 = self.update(self.conv2, F.avg_pool2d(s1, 2), c2, s2)
            h1, z1 = self.update(self.fc1, F.avg_pool2d(s2, 2).flatten(1), h1, z1)
            h2, z2 = self.update(self.fc2, z1, h2, z2)
            total = total + z2
        return total / T


class Stepwise(nn.Module):
    """One time step a call; the state is in the neurons."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.lif = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            StateLIF(),
        )
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.lif2, self.head = StateLIF(), nn.Linear(8 * 16, 3)

    def forward(self, x):
        x = F.max_pool2d(self.lif(self.norm(self.conv(x))), 2)
        return self.head(self.lif2(self.norm2(self.conv2(x))).flatten(1))


class States(nn.Module):
    """Explicit states in tuples, loops over T, answers `[T, B, K]`."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 24), TupleLIF()
        self.fc2, self.lif2 = nn.Linear(24, 16), TupleLIF()
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        mem1, mem2 = x.new_zeros(len(x), 24), x.new_zeros(len(x), 16)
        answers = []
        for _ in range(T):
            s1, mem1 = self.lif1(self.fc1(x), mem1)
            s2, mem2 = self.lif2(self.fc2(s1), mem2)
            answers.append(self.out(s2))
        return torch.stack(answers)


class ByBatch(States):
    """The same, `[B, T, K]`."""

    def forward(self, x):
        return super().forward(x).transpose(0, 1)


class Hidden(nn.Module):
    """Its neurons are in a Python list, which `modules()` does not see."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(12, 24), nn.Linear(24, 16), nn.Linear(16, 3)])
        self.neurons = [LoopLIF(), LoopLIF()]

    def forward(self, x):
        for layer, neuron in zip(self.layers, self.neurons, strict=False):
            x = neuron(layer(x))
        return self.layers[-1](x)


class Act(nn.Module):
    """An activation that fires."""

    def forward(self, u):
        return fire(u)


class Shared(nn.Module):
    """One activation object for all neurons."""

    def __init__(self):
        super().__init__()
        act = Act()
        self.a, self.b, self.c = nn.Linear(12, 24), nn.Linear(24, 16), nn.Linear(16, 3)
        self.first, self.second = Cell(act), Cell(act)

    def forward(self, x):
        m1 = m2 = 0
        total = 0
        for _ in range(T):
            s1, m1 = self.first(self.a(x), m1)
            s2, m2 = self.second(self.b(s1), m2)
            total = total + self.c(s2)
        return total / T


class Cell(nn.Module):
    """A LIF neuron that is given its activation."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x, mem):
        mem = 0.5 * mem + x
        s = self.act(mem - 0.4)
        return s, mem * (1 - s)


class Joined(nn.Module):
    """Recordings `[B, T, C, H, W]`; layers see `[B*T, ...]` or `[T*B, ...]`."""

    def __init__(self, first="b"):
        super().__init__()
        self.first = first
        self.body = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            SplitLIF(first),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            SplitLIF(first),
        )
        self.head = nn.Linear(6 * 16, 3)

    def forward(self, x):
        batch = len(x)
        x = x if self.first == "b" else x.transpose(0, 1)
        x = self.head(self.body(x.flatten(0, 1)).flatten(1))
        if self.first == "b":
            return x.unflatten(0, (batch, T)).mean(1)
        return x.unflatten(0, (T, batch)).mean(0)


class Recurrent(nn.Module):
    """Spikes flow back by a layer of their own."""

    def __init__(self):
        super().__init__()
        self.inward, self.back = nn.Linear(12, 24), nn.Linear(24, 24, bias=False)
        self.out = nn.Linear(24, 3)

    def forward(self, x):
        mem = spikes = x.new_zeros(len(x), 24)
        total = 0
        for _ in range(T):
            mem = 0.6 * mem * (1 - spikes) + self.inward(x) + self.back(spikes)
            spikes = Triangle.apply(mem - 0.5)
            total = total + self.out(spikes)
        return total / T


class UNet(nn.Module):
    """Down and up with a transposed convolution and a concatenated skip; answers an image."""

    def __init__(self):
        super().__init__()
        self.down, self.lif1 = nn.Conv2d(1, 6, 3, padding=1), StateLIF()
        self.low, self.lif2 = nn.Conv2d(6, 8, 3, padding=1, stride=2), StateLIF()
        self.up, self.lif3 = nn.ConvTranspose2d(8, 6, 2, stride=2), StateLIF()
        self.out = nn.Conv2d(12, 1, 1)

    def forward(self, x):
        for lif in (self.lif1, self.lif2, self.lif3):
            lif.reset()
        total = 0
        for _ in range(T):
            skip = self.lif1(self.down(x))
            up = self.lif3(self.up(self.lif2(self.low(skip))))
            total = total + self.out(torch.cat([skip, up], 1))
        return total / T


class Once(nn.Module):
    """The first layer encodes the image once; the rest runs T times."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.lif1, self.lif2 = StateLIF(), StateLIF()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 64, 3)

    def forward(self, x):
        self.lif1.reset()
        self.lif2.reset()
        static = self.encode(x)
        steps = [self.lif2(self.norm(self.conv(self.lif1(static)))) for _ in range(T)]
        return torch.stack([self.head(s.flatten(1)) for s in steps])


class Threshold(nn.Module):
    """A learnable threshold per channel and a learnable leak; sizes in the code of the forward."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Linear(8 * 16, 3)
        self.threshold = nn.Parameter(torch.full((1, 8, 1, 1), 0.4))
        self.leak = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        mem = total = 0
        for _ in range(T):
            mem = torch.sigmoid(self.leak) * mem + self.conv(x)
            s = Vector.apply(mem, self.threshold)
            mem = mem - s * self.threshold
            total = total + self.head(F.max_pool2d(s, 2).view(-1, 8 * 16))
        return total / T


class Residual(nn.Module):
    """A spike-element-wise block of its own neurons, with a depthwise and a grouped convolution."""

    def __init__(self):
        super().__init__()
        self.stem, self.lif0 = nn.Conv2d(1, 8, 3, padding=1), StateLIF()
        self.a, self.lif1 = nn.Conv2d(8, 8, 3, padding=1, groups=8), StateLIF()
        self.b, self.lif2 = nn.Conv2d(8, 8, 3, padding=1, groups=2), StateLIF()
        self.head = nn.Linear(8, 3)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        for lif in (self.lif0, self.lif1, self.lif2):
            lif.reset()
        total = 0
        for _ in range(T):
            s = self.lif0(self.stem(x))
            s = s + self.lif2(self.b(self.drop(self.lif1(self.a(s)))))
            total = total + self.head(s.mean((2, 3)))
        return total / T


class Volume(nn.Module):
    """Three-dimensional convolutions."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif = nn.Conv3d(1, 6, 3, padding=1), StateLIF()
        self.conv2, self.lif2 = nn.Conv3d(6, 6, 2, stride=2), StateLIF()
        self.head = nn.Linear(6 * 8, 3)

    def forward(self, x):
        self.lif.reset()
        self.lif2.reset()
        return sum(
            self.head(self.lif2(self.conv2(self.lif(self.conv(x)))).flatten(1)) for _ in range(T)
        )


class Attention(nn.Module):
    """Tokens, and spiking self-attention: products of spikes with spikes."""

    def __init__(self):
        super().__init__()
        self.patch, self.lif = nn.Conv2d(1, 16, 2, stride=2), StateLIF()
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
        self.lif_q, self.lif_k, self.lif_v = StateLIF(), StateLIF(), StateLIF()
        self.mlp, self.lif_mlp, self.head = nn.Linear(16, 32), StateLIF(), nn.Linear(32, 3)

    def forward(self, x):
        for module in self.modules():
            if isinstance(module, StateLIF):
                module.reset()
        total = 0
        for _ in range(T):
            tokens = self.lif(self.patch(x)).flatten(2).transpose(1, 2)
            q, k = self.lif_q(self.q(tokens)), self.lif_k(self.k(tokens))
            mixed = q @ k.transpose(1, 2) @ self.lif_v(self.v(tokens)) * 0.25
            total = total + self.head(self.lif_mlp(self.mlp(mixed))).mean(1)
        return total / T


class Words(nn.Module):
    """Integer tokens through an embedding; answers a dict."""

    def __init__(self):
        super().__init__()
        self.embed, self.fc = nn.Embedding(20, 12), nn.Linear(12, 24)
        self.lif, self.out = LoopLIF(), nn.Linear(24, 3)

    def forward(self, tokens):
        x = self.fc(self.embed(tokens)).transpose(0, 1)  # the words are the time steps
        return {"logits": self.out(self.lif(x)).mean(0)}


class Ternary(nn.Module):
    """Spikes of -1, 0 and 1: none of the kind that can be scored."""

    class Sign(torch.autograd.Function):
        """Two thresholds."""

        @staticmethod
        def forward(ctx, u):
            ctx.save_for_backward(u)
            return (u >= 0.3).float() - (u <= -0.3).float()

        @staticmethod
        def backward(ctx, g):
            (u,) = ctx.saved_tensors
            return g * (u.abs() < 1).float()

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(12, 24), nn.Linear(24, 16), nn.Linear(16, 3)

    def forward(self, x):
        total = 0
        for _ in range(T):
            s = self.Sign.apply(self.a(x))
            total = total + self.c(self.Sign.apply(self.b(s)))
        return total / T


class StraightThrough(nn.Module):
    """A step without a function of its own: `step(u) - stop(g(u)) + g(u)`."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 24), nn.Linear(24, 3)

    def forward(self, x):
        mem = total = 0
        for _ in range(T):
            mem = 0.5 * mem + self.a(x)
            soft = torch.sigmoid(4 * (mem - 0.5))
            s = (mem >= 0.5).float() - soft.detach() + soft
            mem = mem * (1 - s.detach())
            total = total + self.b(s)
        return total / T
