"""Fused neurons beside SpikingJelly's own: one neuron, and a training step of a small net."""

import copy
import functools

import torch
from spikingjelly.activation_based import neuron, surrogate

from benchmarks.timing import Row, compare
from spikeprune import zoo
from spikeprune.adapters.speedups import fuse
from spikeprune.execution.forward import forward
from spikeprune.training.losses import loss_by_name

TIME_STEPS = 4
KINDS = {"IF": neuron.IFNode, "LIF": neuron.LIFNode, "PLIF": neuron.ParametricLIFNode}


def node(kind):
    options = {"surrogate_function": surrogate.ATan(), "detach_reset": True, "step_mode": "m"}
    tau = {"IF": {}, "LIF": {"tau": 4 / 3}, "PLIF": {"init_tau": 4 / 3}}[kind]
    return KINDS[kind](**tau, **options)


def neuron_step(module, x, gradient):
    module.reset()
    torch.autograd.grad(module(x), (x, *module.parameters()), gradient)


def inference(module, x):
    module.reset()
    with torch.no_grad():
        module(x)


def alone(kind, shape, rounds, *, compiled, train=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(TIME_STEPS, *shape, generator=generator).mul_(1.5).requires_grad_()
    gradient = torch.randn(x.shape, generator=generator)
    bodies = {"fused": False, "fused, compiled": True} if compiled else {"fused": False}
    nodes = {"SpikingJelly": node(kind)}
    for name, body in bodies.items():
        nodes[name] = copy.deepcopy(nodes["SpikingJelly"])
        fuse(nodes[name], compiled=body)

    def run(module):
        return neuron_step(module, x, gradient) if train else inference(module, x)

    runs = {name: functools.partial(run, module) for name, module in nodes.items()}
    times = compare(runs, rounds=rounds)
    passes = "forward and backward" if train else "inference"
    what = f"{kind} {passes}, T {TIME_STEPS}, {list(shape)}"
    for name in bodies:
        yield Row(what, name, times[name], "SpikingJelly", times["SpikingJelly"])


def training_step(size, rounds):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, 1, 28, 28, generator=generator)
    y = torch.randint(10, (size,), generator=generator)
    loss = loss_by_name("mean-logits")
    torch.manual_seed(0)
    theirs = zoo.build("vgg-small", classes=10, in_channels=1, image_size=28, time_steps=TIME_STEPS)
    ours = copy.deepcopy(theirs)
    fuse(ours)

    def run(model, optimizer):
        optimizer.zero_grad()
        loss(forward(model, x, time_steps=TIME_STEPS), y).backward()
        optimizer.step()

    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (ours, theirs)]
    times = compare(
        {"ours": lambda: run(ours, optimizers[0]), "theirs": lambda: run(theirs, optimizers[1])},
        rounds=rounds,
    )
    what = f"training step of vgg-small, T {TIME_STEPS}, 28x28, batch {size}"
    return Row(what, "fused neurons", times["ours"], "SpikingJelly", times["theirs"])


def neuron_rows(*, quick: bool):
    rounds = 1 if quick else 15
    shapes = [(2, 4, 5, 5)] if quick else [(128, 16, 14, 14), (16, 64, 32, 32)]
    for shape in shapes:
        for kind in KINDS:
            yield from alone(kind, shape, rounds, compiled=not quick)
        yield from alone("LIF", shape, rounds, compiled=not quick, train=False)
    yield training_step(2 if quick else 128, rounds)
