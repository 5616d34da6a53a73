"""The whole way of a foreign net: pruned by three lines, counted by hand, cut, saved, loaded."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.conv import _ConvNd

from spikeprune import Pruner, cut, evaluate
from spikeprune.adapters.rest import reset
from spikeprune.errors import SpikePruneError
from spikeprune.toolbox import load_cut, save_cut

T = 4
LAYERS = (_ConvNd, nn.Linear)


@dataclass
class Net:
    """A net, a batch as it takes it, and how its owner trains it."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of one sample as the net takes it, without the batch
    call: Callable[[nn.Module, Any], Any] = lambda net, x: net(x)  # to [B, K] or [T, B, K]
    layout: Any = None
    example: Callable[[Any], Any] = lambda x: x[:2]
    mapped: bool = True  # whether a layer feeds a neuron that can be observed
    evaluates: bool = True
    words: int = 0  # size of the vocabulary, if the input is of integers
    time_steps: int = T
    rate: float = 0.05  # of learning
    options: dict[str, Any] = field(default_factory=dict)  # of the pruner
    cuts: tuple[str, ...] = ()  # layers whose channels are pruned and cut
    whole: str = ""  # why others are left whole, or all


def per_step(net, x):
    """Call the net T times with one slice."""
    reset(net)
    return torch.stack([net(x) for _ in range(T)])


def over_time(net, x):
    """Call the net with the batch repeated T times."""
    return net(x.expand(T, *x.shape))


def batch_of(net, size=8, seed=0):
    """Return inputs and labels of 3 classes."""
    generator = torch.Generator().manual_seed(seed)
    if net.words:
        x = torch.randint(0, net.words, (size, *net.shape), generator=generator)
    else:
        x = 2 * torch.rand(size, *net.shape, generator=generator)
    return x, torch.randint(0, 3, (size,), generator=generator)


def loss_of(net, output, y):
    """Return the loss that the owner trains with."""
    if not net.evaluates:
        return output.square().mean()
    return cross_entropy(output if output.ndim == 2 else output.mean(0), y)


def prunes(net, **options):
    """Return a pruner of the net anew: the first of the three lines."""
    torch.manual_seed(0)
    model, (x, _) = net.build(), batch_of(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=net.rate, momentum=0.9)
    made = {"sparsity": 0.9, "every": 2, "time_steps": net.time_steps, "total_steps": 8}
    example = net.example(x)
    return Pruner(model, optimizer, example, **made | net.options | options, layout=net.layout)


def train(net, pruner, *, size=8, steps=9):
    """Train as the owner does, and call `pruner.step()`."""
    model, (x, y) = pruner.model.train(), batch_of(net, size)
    for _ in range(steps):
        reset(model)
        pruner.optimizer.zero_grad()
        loss_of(net, net.call(model, x), y).backward()
        pruner.optimizer.step()
        pruner.step()
    return pruner


def layers_of(model):
    """Return convolutions and linear layers by name."""
    return {n: m for n, m in model.named_modules() if isinstance(m, LAYERS)}


@torch.no_grad()
def counted(model, run):
    """Return the synaptic operations of a run: each layer again, on ones, with ones for weights."""
    found = {}

    def hook(name, module, args, output):
        x, whole = (args[0] != 0).double(), copy.deepcopy(module).double()
        weight = whole.weight.data = (module.weight != 0).double()
        whole.bias = None
        whole._forward_hooks.clear()
        if hasattr(whole, "_conv_forward"):  # past a forward that changes the weight
            given = whole._conv_forward(x.flatten(0, x.ndim - weight.ndim), weight, None)
        else:
            given = whole(x)
        found[name] = found.get(name, 0) + given.sum().item()

    handles = [
        m.register_forward_hook(lambda *a, n=n: hook(n, *a)) for n, m in layers_of(model).items()
    ]
    run()
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def answer_of(net, model, seed=1, size=8):
    """Return the output of a model at rest, in eval mode."""
    reset(model.eval())
    torch.manual_seed(seed)  # of encoders in the net
    return net.call(model, batch_of(net, size, seed)[0])


@dataclass
class Row:
    """What came out of one net."""

    layers: int
    prunable: int
    mapped: int  # layers that take part in regrowth
    adapted: int  # neurons of an adapter
    found: int  # neurons found by their spike functions
    live: int
    exact: bool
    alive: bool  # whether the output of the masked net depends on the input
    cut_equal: bool
    cut_note: str
    channels: str  # 'cut', or why not
    evaluated: bool
    loaded: bool
    notes: tuple[str, ...]


def walk(net, size=8, *, with_channels=True):
    """Go the whole way with one net, with or without pruning its channels.

    Raises:
        SpikePruneError: the net is refused at construction; later ones are not caught.
    """
    pruner = prunes(net)
    train(net, pruner, size=size)
    model, wiring = pruner.model, pruner.wiring
    weights = [m.weight for n, m in layers_of(model).items() if n in wiring.prunable]
    live = sum(int(w.count_nonzero()) for w in weights)
    evaluated = net.evaluates and same_counts(net, pruner)
    masked = answer_of(net, model)
    result = cut(pruner)
    return Row(
        layers=len(layers_of(model)),
        prunable=len(weights),
        mapped=sum(1 for layer in wiring.layers.values() if layer.feeds),
        adapted=len(wiring.neurons) - len(wiring.sites),
        found=len(wiring.sites),
        live=live,
        exact=live == round((1 - pruner.options.sparsity) * sum(w.numel() for w in weights)),
        alive=not close(answer_of(net, model, 5), masked),
        cut_equal=close(answer_of(net, result.model), masked),
        cut_note=" ".join(result.notes),
        channels=channels(net, size) if with_channels else "not tried",
        evaluated=evaluated,
        loaded=loads(net, result),
        notes=pruner.notes,
    )


def close(found, expected):
    """Whether outputs are equal up to rounding."""
    return torch.allclose(found, expected, atol=1e-5, rtol=1e-5)


def same_counts(net, pruner):
    """Whether `evaluate` agrees with counting by hand, in accuracy and by layer in SynOps."""
    model, (x, y) = pruner.model, batch_of(net, 6, 2)
    torch.manual_seed(2)
    data = [(x if callable(pruner.layout) else data_of(net, pruner, x), y)]
    parts = {"wiring": pruner.wiring, "mask": pruner.mask, "latency": False}
    found = evaluate(model, data, time_steps=net.time_steps, **parts)
    outputs = []
    by_hand = counted(model, lambda: outputs.append(answer_of(net, model, 2, 6)))
    logits = outputs[0] if outputs[0].ndim == 2 else outputs[0].mean(0)
    accuracy = (logits.argmax(1) == y).double().mean().item()
    layers = {row.name: round(row.synops * 6) for row in found.layers}
    return found.test_accuracy == accuracy and layers == by_hand


def data_of(net, pruner, x):
    """Return a batch as `evaluate` takes it."""
    return x


def channels(net, size):
    """Prune channels at random, and say 'cut', or why not."""
    options = {"granularity": "channel", "saliency": "random", "regrow": "none"}
    try:
        pruner = prunes(net, **options, sparsity=0.3, allocation="global")
    except SpikePruneError as error:
        return str(error)
    train(net, pruner, size=size)
    masked = answer_of(net, pruner.model)
    result = cut(pruner)
    smaller = sum(result.after.values()) < sum(result.before.values())
    assert close(answer_of(net, result.model), masked), "channels"
    return "cut" if smaller else " ".join(result.notes)


def loads(net, result):
    """Whether the cut net comes back from a folder, in a net built anew."""
    with tempfile.TemporaryDirectory() as folder:
        save_cut(result, Path(folder))
        again = load_cut(net.build(), Path(folder))
    return torch.equal(answer_of(net, again), answer_of(net, result.model))
