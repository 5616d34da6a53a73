"""Cost of pruning beside training: an event, an ordinary step, scoring, counting, the cut net."""

import copy

import torch
from torch import nn

from benchmarks.timing import Row, compare
from spikeprune import Pruner, compact, zoo
from spikeprune.adapters.base import fuse
from spikeprune.engine.forward import forward, loss_by_name
from spikeprune.engine.observe import score_loader
from spikeprune.engine.options import PruneOptions
from spikeprune.engine.weight_pruning import prune_weights

TIME_STEPS = 4


def net(width: float):
    torch.manual_seed(0)
    return zoo.build(
        "vgg16", classes=10, in_channels=3, image_size=32, time_steps=TIME_STEPS, width=width
    )


def batch(size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 3, 32, 32, generator=generator)
    return x, torch.randint(10, (size,), generator=generator)


def training_step(model, optimizer, x, y, pruner=None):
    optimizer.zero_grad()
    loss_by_name("mean-logits")(forward(model, x, time_steps=TIME_STEPS), y).backward()
    optimizer.step()
    if pruner is not None:
        pruner.step()


def naive_event(weights, live, scores, density, fraction):
    """The usual way: two sorted top-k over all weights and one over a score copied per weight."""
    flat = torch.cat([w.abs().flatten() for w in weights])
    alive = torch.cat([m.flatten() for m in live])
    growth = torch.cat(
        [s.expand_as(w).flatten() for s, w in zip(scores, weights, strict=True)]
    ).clone()
    total = round(density * len(flat))
    grow = int(fraction * total)
    flat[~alive] = -1
    threshold = torch.topk(flat, total, sorted=True).values[-1]
    kept = flat >= torch.topk(flat, total - grow, sorted=True).values[-1]
    growth[kept] = -1
    return kept, growth >= torch.topk(growth, grow, sorted=True).values[-1], threshold


def event(width, rounds):
    model = net(width)
    named = {n: m.weight.detach() for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    generator = torch.Generator().manual_seed(0)
    scores = {n: torch.rand(len(w), 1, 1, 1, generator=generator) for n, w in named.items()}
    live = {n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in named.items()}
    options = PruneOptions(sparsity=0.9)
    count = sum(w.numel() for w in named.values()) / 1e6
    times = compare(
        {
            "ours": lambda: prune_weights(
                named, live, scores, density=0.3, options=options, generator=generator
            ),
            "naive": lambda: naive_event(
                list(named.values()), list(live.values()), list(scores.values()), 0.3, 0.2
            ),
        },
        rounds=rounds,
    )
    what = f"mask event with regrowth, {count:.1f} M weights"
    return Row(what, "radix select", times["ours"], "sorted top-k of copies", times["naive"])


def ordinary_step(width, size, rounds):
    x, y = batch(size)
    plain, pruned = net(width), net(width)
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (plain, pruned)]
    pruner = Pruner(
        pruned,
        optimizers[1],
        x[:1],
        time_steps=TIME_STEPS,
        total_steps=1,
        every=1,
        sparsity=0.9,
    )
    training_step(pruned, optimizers[1], x, y, pruner)  # the event: masks are in force after it
    times = compare(
        {
            "ours": lambda: training_step(pruned, optimizers[1], x, y, pruner),
            "plain": lambda: training_step(plain, optimizers[0], x, y),
        },
        rounds=rounds,
    )
    pruner.close()
    what = f"training step with a pruner attached, batch {size}"
    return Row(what, "with pruner", times["ours"], "SpikingJelly step alone", times["plain"])


def scoring(width, size, rounds, *, fused):
    x, _ = batch(size)
    model = net(width).eval()
    if fused:
        fuse(model)

    def run(inputs):
        with torch.no_grad():
            return forward(model, inputs, time_steps=TIME_STEPS)

    times = compare(
        {
            "ours": lambda: score_loader(model, [x], time_steps=TIME_STEPS, forward=run),
            "plain": lambda: run(x),
        },
        rounds=rounds,
    )
    neurons = "fused" if fused else "SpikingJelly's"
    what = f"scoring criticality, {neurons} neurons, batch {size}"
    return Row(what, "observed inference", times["ours"], "plain inference", times["plain"])


def cut_net(width, sparsity, size, rounds):
    x, _ = batch(size)
    model = net(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    pruner = Pruner(
        model,
        optimizer,
        x[:1],
        time_steps=TIME_STEPS,
        total_steps=1,
        granularity="channel",
        saliency="random",
        regrow="none",
        sparsity=sparsity,
    )
    dense = copy.deepcopy(model).eval()
    training_step(model, optimizer, *batch(2), pruner)
    small = compact(pruner).eval()

    def run(chosen):
        with torch.no_grad():
            return forward(chosen, x, time_steps=TIME_STEPS)

    times = compare({"ours": lambda: run(small), "dense": lambda: run(dense)}, rounds=rounds)
    what = f"inference, {sparsity:.0%} of the channels cut at random, batch {size}"
    return Row(what, "cut net", times["ours"], "dense net", times["dense"])


def pruning_rows(*, quick: bool):
    width, size, rounds = (0.125, 2, 1) if quick else (1.0, 16, 7)
    yield event(width, rounds)
    yield ordinary_step(width, size, rounds)
    for fused in (True, False):
        yield scoring(width, size, rounds, fused=fused)
    for sparsity in (0.5, 0.8):
        yield cut_net(width, sparsity, size, rounds)
