"""Event-driven inference of weight-sparse nets at batch 1, against dense PyTorch.

Zeros are spread at random, evenly over all layers. Firing is set, not trained: layer by layer, the
shift of the BatchNorm is moved until the neurons behind it fire at the wanted rate on the
benchmark's own input. The rate that was then measured stands in the row.
"""

import copy
import itertools

import torch
from torch import nn

from benchmarks.nets import CASES, QUICK
from benchmarks.timing import Row, compare, faster
from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.adapters.speedups import fuse
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.execution.forward import forward
from spikeprune.inference.event_driven import event_driven, event_report

RATE = 0.1
GOALS = {0.9: None, 0.95: faster(1.4, 2.5), 0.98: faster(2.2, 5.0)}


@torch.no_grad()
def sparse_net(case, sparsity, x):
    """Return the net of a case in eval mode with so many zeros, firing at `RATE`."""
    net = case.net().eval()
    for parameter in net.parameters():
        if parameter.ndim > 1:
            parameter.mul_(torch.rand(parameter.shape) >= sparsity)
    current = x.expand(case.time_steps, *x.shape)
    for module, following in itertools.pairwise([*net, nn.Identity()]):
        if isinstance(module, nn.BatchNorm2d):
            axes = (0, 1, 3, 4)
            module.running_mean, module.running_var = current.mean(axes), current.var(axes)
            module.bias.fill_(shift_for_rate(following, module(current)))
        current = module(current)
    adapter_for(net).reset(net)
    return net


def shift_for_rate(node, x):
    """Return what to add to `x` so that a neuron fires at `RATE`, by bisection."""
    low, high = -10.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        node.reset()
        fires = float(node(x + middle).mean()) > RATE
        low, high = (low, middle) if fires else (middle, high)
    node.reset()
    return low


def firing_rate(net, run):
    """Return spikes per neuron and step."""
    sums = []
    hooks = [
        module.register_forward_hook(lambda m, a, out: sums.append((float(out.sum()), out.numel())))
        for module in spiking_neurons(net).values()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return sum(s for s, _ in sums) / sum(n for _, n in sums)


def runner(net, x, time_steps):

    def run():
        with torch.no_grad():
            return forward(net, x, time_steps=time_steps)

    return run


def event_rows(*, quick: bool):
    case = QUICK if quick else CASES["vgg16"]
    x, _ = case.batch_of(1)
    for sparsity, goal in GOALS.items():
        net = sparse_net(case, sparsity, x)
        dense = fold_batchnorm(net, x)
        fused = copy.deepcopy(dense)
        fuse(fused)
        ours = event_driven(net, x, time_steps=case.time_steps)
        runs = {
            "event-driven": runner(ours, x, case.time_steps),
            "dense, fused": runner(fused, x, case.time_steps),
            "dense": runner(dense, x, case.time_steps),
        }
        rate = firing_rate(fused, runs["dense, fused"])
        off = float((runs["event-driven"]() - runs["dense, fused"]()).abs().max())
        times = compare(runs, rounds=1 if quick else 31)
        choices = [row.choice for row in event_report(ours).values()]
        counts = ", ".join(f"{choices.count(c)} {c}" for c in sorted(set(choices)))
        what = f"{case.name}, T {case.time_steps}, batch 1, {sparsity:.0%} zeros"
        note = f"firing {rate:.1%}; layers: {counts}; outputs differ by at most {off:.1g}"
        mine = times["event-driven"]
        for rival, label in (
            ("dense, fused", "dense fp32, fused neurons"),
            ("dense", "dense fp32, SpikingJelly"),
        ):
            yield Row(what, "event-driven", mine, label, times[rival], goal, note=note)
