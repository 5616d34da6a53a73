"""Cost of pruning beside training: an event, an ordinary step, scoring, the cut net."""

import contextlib
import copy
import statistics
import subprocess
import sys
import time
from unittest import mock

import torch

from benchmarks.memory import peak_above
from benchmarks.nets import CASES, QUICK, plain_torch, spikingjelly
from benchmarks.timing import Row, at_most, compare, faster
from spikeprune import Pruner, zoo
from spikeprune.adapters.speedups import fuse
from spikeprune.execution.forward import forward
from spikeprune.measuring.evaluate import latencies
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.pruning import mask_keeper as upkeep
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.choose_weights import choose_weights
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.cut_plan import apply_plan, plan_for
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

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


def event(width, rounds, case):
    """Yield a mask event beside a training step, and beside the usual way."""
    named = {n: m.weight.detach() for n, m in net(width).named_modules() if hasattr(m, "weight")}
    named = {n: w for n, w in named.items() if w.ndim > 1}
    generator = torch.Generator().manual_seed(0)
    growing = [n for n, w in named.items() if w.ndim == 4]  # the classifier feeds no neuron
    scores = {n: torch.rand(len(named[n]), 1, 1, 1, generator=generator) for n in growing}
    live = {n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in named.items()}
    options = PruneOptions(sparsity=0.9)
    convolutions = [[each[n] for n in growing] for each in (named, live, scores)]
    times = compare(
        {
            "ours": lambda: choose_weights(named, live, scores, density=0.3, options=options),
            "naive": lambda: naive_event(*convolutions, 0.3, 0.2),
            "step": spikingjelly(case).step,
        },
        rounds=rounds,
    )
    what = f"mask event with regrowth, {sum(w.numel() for w in named.values()) / 1e6:.1f} M weights"
    step = f"SpikingJelly fp32 step, batch {case.batch}"
    yield Row(what, "exact selection", times["ours"], step, times["step"], at_most(0.25, 0.1))
    yield Row(what, "exact selection", times["ours"], "sorted top-k of copies", times["naive"])


def event_memory(million):
    """Return the row of the memory that an event needs, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.pruning", str(million)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    what = f"memory added by a mask event with regrowth, {million} M weights"
    peak, weights = (int(number) / 2**20 for number in done.stdout.split()[-2:])
    return Row(what, "peak", peak, "the weights", weights, unit="MiB")


def large_event(million):
    """Print the peak of an event above the memory before it, and the size of the weights."""
    generator = torch.Generator().manual_seed(0)
    shape = (1000, 100 * million)
    named = {str(i): torch.randn(shape, generator=generator) for i in range(10)}
    live = {n: torch.rand(shape, generator=generator) < 0.5 for n in named}
    scores = {n: torch.rand(shape[0], 1, generator=generator) for n in named}
    options = PruneOptions(sparsity=0.9)
    peak = peak_above(lambda: choose_weights(named, live, scores, density=0.3, options=options))
    print(peak, sum(w.nbytes for w in named.values()))


def ordinary_step(width, size, rounds):
    """Time what an attached pruner adds: two whole steps differ by chance more than by this."""
    x, y = batch(size)
    model = net(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    pruner = Pruner(
        model,
        optimizer,
        x[:1],
        time_steps=TIME_STEPS,
        total_steps=1,
        every=1,
        sparsity=0.9,
    )
    training_step(model, optimizer, x, y, pruner)  # the event: masks are in force after it
    spent = []

    def timed(function):
        def run(*args):
            started = time.perf_counter()
            function(*args)
            spent[-1] += 1000 * (time.perf_counter() - started)

        return run

    def step():
        spent.append(0.0)
        training_step(model, optimizer, x, y)
        timed(pruner.step)()

    with mock.patch.object(upkeep, "silence_", timed(upkeep.silence_)):
        whole = compare({"step": step}, rounds=rounds)["step"]
    pruner.close()
    added = statistics.median(spent[1:])
    what = f"added by a pruner to an ordinary training step, batch {size}"
    return Row(what, "masks", added, "the rest of it", whole - added, at_most(0.01, 0.005))


def fused(width, *, quick):
    """Return the net with fused neurons; a quick look does not wait for a compiler."""
    model = net(width)
    fuse(model, compiled=not quick)
    return model


def scored_step(width, size, rounds, *, quick):
    """Yield a training step that is scored for an event, without and with a budget of SynOps."""
    x, y = batch(size)
    model = fused(width, quick=quick)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    observer = Observer(model, time_steps=TIME_STEPS, train=True)
    operands = WeightOperands(model, trace(model, x[:1]), train=True)

    def step(*watchers):
        with contextlib.ExitStack() as stack:
            for watcher in watchers:
                stack.enter_context(watcher)
            training_step(model, optimizer, x, y)

    cases = {
        "criticality observed": lambda: step(observer),
        "and operands counted, for a budget of SynOps": lambda: step(observer, operands),
        "plain step": step,
    }
    times = compare(cases, rounds=rounds)
    what = f"training step before an event, fused neurons, fp32, batch {size}"
    for name in list(cases)[:2]:
        yield Row(what, name, times[name], "plain step", times["plain step"])


def found_neurons_step(channels, size, rounds):
    """Time the same for neurons that are found by their spike function, in plain PyTorch."""
    model, x = plain_torch(channels, time_steps=TIME_STEPS), torch.randn(size, 3, 32, 32)
    y = torch.randint(10, (size,))
    wiring = trace(model, x[:1], time_steps=TIME_STEPS)
    observer = Observer(model, time_steps=TIME_STEPS, train=True, wiring=wiring)

    def step():
        torch.nn.functional.cross_entropy(model(x), y).backward()

    def observed():
        with observer:
            step()

    times = compare({"observed": observed, "plain step": step}, rounds=rounds)
    what = f"training step before an event, own neurons in plain PyTorch, fp32, batch {size}"
    return Row(what, "criticality observed", times["observed"], "plain step", times["plain step"])


def scoring(width, size, rounds, *, bf16, quick):
    """Score a set of four batches with fused neurons."""
    x, _ = batch(size)
    model = fused(width, quick=quick).eval()
    if bf16:
        model, x = (each.to(memory_format=torch.channels_last) for each in (model, x))

    def run(inputs):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return forward(model, inputs, time_steps=TIME_STEPS)

    data = [x] * 4
    times = compare(
        {
            "ours": lambda: score_loader(model, data, time_steps=TIME_STEPS, forward=run),
            "plain": lambda: [run(inputs) for inputs in data],
        },
        rounds=rounds,
    )
    precision = "bf16, channels_last" if bf16 else "fp32"
    goal = at_most(1.3, 1.05) if bf16 else at_most(1.1, 1.03)
    what = f"scoring criticality, fused neurons, {precision}, batch {size}"
    return Row(what, "observed", times["ours"], "plain inference", times["plain"], goal)


def cut_net(width, sparsity, goal):
    """Cut the same share of every layer, to the nearest multiple of 16; measure as a run does."""
    x, _ = batch(1)
    dense = net(width).eval()
    step = max(1, int(16 * width))
    groups = channel_groups(dense, x, trace(dense, x))
    live = {}
    for group in groups:
        kept = max(step, round((1 - sparsity) * group.channels / step) * step)
        order = torch.randperm(group.channels, generator=torch.Generator().manual_seed(0))
        live[group.name] = order < kept
    small = apply_plan(copy.deepcopy(dense), plan_for(groups, live)).eval()
    for each in (dense, small):
        fuse(each, compiled=goal is not None)
    ms = latencies({"cut": small, "dense": dense}, x, time_steps=TIME_STEPS)
    for name, aim in (("b1", None), ("b32", goal)):
        what = f"inference, {sparsity:.0%} of the channels of every layer cut, batch {name[1:]}"
        yield Row(what, "cut net", ms["cut"][name], "dense net", ms["dense"][name], aim)


def pruning_rows(*, quick: bool):
    width, size, rounds = (0.125, 1, 1) if quick else (1.0, 16, 7)
    yield from event(width, rounds, QUICK if quick else CASES["vgg16"])
    yield event_memory(1 if quick else 100)
    yield ordinary_step(width, 2 * size, rounds)
    yield from scored_step(width, 2 * size, rounds, quick=quick)
    yield found_neurons_step(8 if quick else 128, 2 * size, rounds)
    for bf16 in (False, True):
        yield scoring(width, size, rounds, bf16=bf16, quick=quick)
    for sparsity, goal in ((0.5, faster(3.3, 3.8)), (0.8, faster(9, 15))):
        yield from cut_net(width, sparsity, None if quick else goal)


if __name__ == "__main__":
    large_event(int(sys.argv[1]))
