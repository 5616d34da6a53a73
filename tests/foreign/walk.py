"""A foreign net the whole way: three added lines, own counting, channels, a cut, files."""

import copy
import tempfile
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.conv import _ConvNd

from spikeprune import Pruner, cut, evaluate
from spikeprune.adapters.rest import reset
from spikeprune.errors import SpikePruneError
from spikeprune.toolbox import load_cut, save_cut


@dataclass
class Walk:
    """What came of the way: numbers of the package beside numbers that are counted here."""

    found_by: str
    mapped: int  # layers that feed an observed neuron
    layers: int
    dense: list[str]  # layers that are not pruned
    live: int
    prunable: int
    regrown: int
    regrow: str
    notes: tuple[str, ...]
    scored: bool
    synops: dict[str, int] = field(default_factory=dict)
    by_hand: dict[str, int] = field(default_factory=dict)
    evaluate_notes: tuple[str, ...] = ()
    accuracy: tuple[float, float] = (0.0, 0.0)
    firing_rate: float = 0.0
    macs: float = 0.0
    cut_channels: int = 0
    cut_difference: float = 0.0  # on other data than the proof has seen
    cut_notes: tuple[str, ...] = ()
    loaded: bool = False


def batch_of(net, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if net.words:
        x = torch.randint(0, net.words, (size, *net.shape), generator=generator)
    else:
        x = 2 * torch.rand(size, *net.shape, generator=generator)
    return x, torch.randint(0, 3, (size,), generator=generator)


def loss_of(net, output, y):
    if not net.evaluates:
        return output.square().mean()
    return cross_entropy(output if output.ndim == 2 else output.mean(0), y)


def pruner_of(net, **options):
    model = net.build()
    x, _ = batch_of(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    made = {"time_steps": net.steps, "total_steps": 8, "every": 2, "layout": net.layout}
    return Pruner(model, optimizer, net.example(x), **made, **options)


def trained(net, sparsity=0.9, **options):
    pruner = pruner_of(net, sparsity=sparsity, **options)
    model, optimizer, (x, y) = pruner.model, pruner.optimizer, batch_of(net)
    model.train()
    for _ in range(9):
        reset(model)
        optimizer.zero_grad()
        loss_of(net, net.call(model, x), y).backward()
        optimizer.step()
        pruner.step()
    return pruner


def layers_of(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, _ConvNd | nn.Linear)}


@torch.no_grad()
def counted(model, run):
    """Return the synaptic operations of a run: each layer again, on ones, with ones for weights."""
    found = {}

    def hook(name, module, args, output):
        whole = copy.deepcopy(module).double()
        whole.__class__ = next(k for k in type(module).__mro__ if k.__module__.startswith("torch."))
        whole.weight.data, whole.bias = (module.weight != 0).double(), None
        whole._forward_hooks.clear()
        sample = 1 if isinstance(module, nn.Linear) else module.weight.ndim - 1
        x = (args[0] != 0).double().reshape(-1, *args[0].shape[-sample:])
        found[name] = found.get(name, 0) + whole(x).sum().item()

    handles = [
        m.register_forward_hook(lambda *a, n=n: hook(n, *a)) for n, m in layers_of(model).items()
    ]
    run()
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def answer_of(net, model, x):
    """Return the output at rest in eval mode; what is drawn at random is drawn alike."""
    reset(model)
    torch.manual_seed(7)
    return net.call(model.eval(), x)


def walked(net) -> Walk:
    """Prune, count, evaluate, cut, save and load a net.

    Raises:
        SpikePruneError: at construction only; a later one is an `AssertionError`.
    """
    torch.manual_seed(0)
    pruner_of(net, sparsity=0.9).close()  # what is refused is refused here
    try:
        torch.manual_seed(0)
        pruner = trained(net)
        walk = _pruned(pruner)
        if net.evaluates:
            _evaluated(net, pruner, walk)
        _cut(net, pruner, walk)
    except SpikePruneError as error:
        raise AssertionError("refused after construction") from error
    return walk


def _pruned(pruner) -> Walk:
    layers, wiring = layers_of(pruner.model), pruner.wiring
    weights = [module.weight for name, module in layers.items() if name in wiring.prunable]
    spiking = set(wiring.neurons)
    ways = ["spike functions"] * bool(wiring.sites) + ["adapter"] * bool(
        spiking - set(wiring.sites)
    )
    return Walk(
        found_by=" and ".join(ways) or "none",
        mapped=sum(bool(layer.feeds) for layer in wiring.layers.values()),
        layers=len(layers),
        dense=[name for name in layers if name not in wiring.prunable],
        live=sum(int(w.count_nonzero()) for w in weights),
        prunable=sum(w.numel() for w in weights),
        regrown=sum(event.regrown for event in pruner.events),
        regrow=pruner.options.regrow,
        notes=pruner.notes,
        scored=any(scores.any() for scores in pruner.last_scores.values()),
    )


def _evaluated(net, pruner, walk: Walk) -> None:
    model, (x, y) = pruner.model, batch_of(net, size=6, seed=2)
    reset(model)
    torch.manual_seed(7)
    given = {"time_steps": net.steps, "wiring": pruner.wiring, "mask": pruner.mask}
    found = evaluate(model, [(x, y)], **given, latency=False)
    output = answer_of(net, model, x)
    logits = output if output.ndim == 2 else output.mean(0)
    walk.by_hand = counted(model, lambda: answer_of(net, model, x))
    walk.synops = {row.name: round(row.synops * 6) for row in found.layers}
    walk.accuracy = found.test_accuracy, (logits.argmax(1) == y).double().mean().item()
    walk.firing_rate, walk.macs = found.firing_rate, found.dense_macs_per_sample
    walk.evaluate_notes = tuple(found.notes)


def _cut(net, pruner, walk: Walk) -> None:
    x, _ = batch_of(net, seed=1)
    before = answer_of(net, pruner.model, x)
    result = cut(pruner)
    after = answer_of(net, result.model, x)
    walk.cut_difference = (after - before).abs().max().item()
    walk.cut_channels = sum(result.before.values()) - sum(result.after.values())
    walk.cut_notes = tuple(result.notes)
    reset(result.model)
    with tempfile.TemporaryDirectory() as folder:
        save_cut(result, folder)
        again = load_cut(net.build(), folder)
    walk.loaded = torch.equal(answer_of(net, again, x), after)


def channels_of(net) -> str:
    """Prune and cut half of the channels; say what came of it.

    Raises:
        AssertionError: a refusal after construction, or a cut that changes the answers.
    """
    torch.manual_seed(0)
    options = {"granularity": "channel", "method": "auto", "sparsity": 0.5}
    try:
        pruner_of(net, **options).close()
    except SpikePruneError as error:
        return f"refused: {error}"
    try:
        torch.manual_seed(0)
        pruner = trained(net, **options)
        x, _ = batch_of(net, seed=1)
        before = answer_of(net, pruner.model, x)
        result = cut(pruner)
    except SpikePruneError as error:
        raise AssertionError(f"refused after construction: {error}") from error
    torch.testing.assert_close(answer_of(net, result.model, x), before, atol=1e-4, rtol=1e-4)
    gone = sum(result.before.values()) - sum(result.after.values())
    if not gone:
        assert result.notes, "no channel was cut, and nothing says why"
        return "masked"
    return f"cut, {gone} of {sum(result.before.values())}"
