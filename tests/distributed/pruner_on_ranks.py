"""What every rank does for `test_data_parallel.py`; run by `run_ranks`, or in one process."""

import datetime
import json
import os

import torch
import torch.distributed as dist
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from spikeprune import Pruner, zoo
from spikeprune.cutting.compact import compact
from spikeprune.distributed import collectives
from spikeprune.distributed.data_parallel import data_parallel
from spikeprune.errors import SpikePruneError
from spikeprune.execution.forward import forward
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.training.losses import loss_by_name

T, STEPS, BATCH = 3, 4, 8
LOSS = loss_by_name("mean-logits")
ON_TRAINING = {
    "criticality": {},
    "gradient": {"regrow": "gradient"},
    "post*grad": {"criticality": CriticalityOptions(weight="post*grad", space="mean")},
    "budget": {"budget": "synops"},
}
ON_LOADER = {
    "criticality": {},
    "ranks": {"criticality": {"space": "mean", "normalise": "layer"}},
    "synops": {"criticality": {"weight": "post*pre", "normalise": "synops"}},
    "budget": {"budget": "synops"},
    "random": {"regrow": "random"},
    "random-saliency": {"saliency": "random"},
    "channels": {"granularity": "channel", "channels": ChannelOptions(budget="synops")},
}
WRAPPERS = {
    "plain": {},
    "bucket-view": {"gradient_as_bucket_view": True},
    "static": {"static_graph": True, "gradient_as_bucket_view": True},
    "unused": {"find_unused_parameters": True},
}


def linear_net():
    """Without BatchNorm, several processes train like a single one."""
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Linear(6, 32),
        neuron.LIFNode(v_threshold=0.5),
        layer.Linear(32, 16),
        neuron.ParametricLIFNode(v_threshold=0.3),
        layer.Linear(16, 3),
    )
    functional.set_step_mode(net, "m")
    return net


def conv_net():
    torch.manual_seed(0)
    net = zoo.build(
        "vgg-small",
        classes=3,
        in_channels=2,
        image_size=6,
        time_steps=T,
        widths=(4, 6, 5),
        strides=(2, 1, 1),
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # scales that rank, statistics that are not trivial
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    return net


def batch(step, *shape):
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(BATCH, *shape, generator=generator)
    return x, torch.randint(3, (BATCH,), generator=generator)


def mine(tensor):
    share = len(tensor) // collectives.world_size()
    return tensor[collectives.rank() * share : (collectives.rank() + 1) * share]


def complete(**options):
    """The paper's form of regrowth unless another one is asked for."""
    return PruneOptions.of(**({"regrow": "criticality"} | options))


def found(pruner):
    """The result, as JSON holds it."""
    return {
        "masks": {n: m.flatten().int().tolist() for n, m in pruner.mask.items()},
        "scores": {n: s.tolist() for n, s in pruner.last_scores.items()},
        "events": [[e.live, e.kept, e.regrown, e.survival] for e in pruner.events],
    }


def scored_by_loader(name):
    """One event on fixed weights, scored in eval mode; each rank has every n-th batch."""
    options = dict(ON_LOADER[name])
    chosen = {"score_on": "train-set", **options.pop("criticality", {})}
    model = conv_net()
    batches = [batch(k, 2, 6, 6) for k in range(collectives.rank(), 8, collectives.world_size())]
    with Pruner(
        model,
        torch.optim.SGD(model.parameters(), lr=0.0),
        torch.zeros(1, 2, 6, 6),
        time_steps=T,
        total_steps=1,
        score_batches=batches,
        options=complete(sparsity=0.5, criticality=CriticalityOptions(**chosen), **options),
    ) as pruner:
        x, y = batch(99, 2, 6, 6)
        LOSS(forward(model, x, time_steps=T), y).backward()
        pruner.optimizer.step()
        pruner.step()
    return found(pruner)


def trained(name, wrapper, *, wrap_first=False, device="cpu"):
    """Train under DistributedDataParallel with events every second step."""
    model = linear_net().to(device)
    parallel = model
    if collectives.world_size() > 1 and wrap_first:
        parallel = DistributedDataParallel(model, **WRAPPERS[wrapper])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    options = {"every": 2, "criticality": CriticalityOptions(space="mean")}
    pruner = Pruner(
        parallel,
        optimizer,
        torch.zeros(1, 6, device=device),
        time_steps=T,
        total_steps=STEPS,
        options=complete(sparsity=0.6, **(options | ON_TRAINING[name])),
    )
    if collectives.world_size() > 1 and not wrap_first:
        parallel = DistributedDataParallel(model, **WRAPPERS[wrapper])
    with pruner:
        for step in range(STEPS):
            x, y = (mine(tensor).to(device) for tensor in batch(step, 6))
            optimizer.zero_grad()
            LOSS(forward(parallel, x, time_steps=T), y).backward()
            optimizer.step()
            pruner.step()
    assert pruner.model is model
    smaller = compact(pruner)
    weights = {n: p.flatten().tolist() for n, p in smaller.named_parameters()}
    return found(pruner) | {"weights": weights}


def whole_forward(steps=2):
    """`data_parallel` on a net called T times a step, with a layer that no forward uses."""
    model = linear_net()
    functional.set_step_mode(model, "s")
    model.add_module("spare", nn.Identity())
    model.spare.weight = nn.Parameter(torch.ones(2))
    run = data_parallel(model, lambda x: forward(model, x, time_steps=T, layout="step"))
    gradients = []
    for step in range(steps):
        x, y = map(mine, batch(step, 6))
        model.zero_grad()
        LOSS(run(x), y).backward()
        gradients.append({n: p.grad.flatten().tolist() for n, p in model[:5].named_parameters()})
    return gradients


def caught(work):
    try:
        return work()
    except SpikePruneError as error:
        return f"{type(error).__name__}: {error}"


def pruner_of(model, *, lr=0.1, **changes):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    options = {"time_steps": T, "total_steps": 1, "sparsity": 0.5, "method": "magnitude"}
    return Pruner(model, optimizer, torch.zeros(1, 6), **(options | changes))


def apart():
    """Train without DistributedDataParallel: the weights come apart, and so do the masks."""
    model = linear_net()
    pruner = pruner_of(model, lr=10.0)
    x, y = map(mine, batch(0, 6))
    LOSS(forward(model, x, time_steps=T), y).backward()
    pruner.optimizer.step()
    message = str(caught(pruner.step))
    hooked = [p for p in model.parameters() if p._post_accumulate_grad_hooks]
    return message, len(hooked) + len(pruner.optimizer._optimizer_step_pre_hooks)


def half_observed():
    """Rank 1 does not run the net before the event; the others must not wait for its scores."""
    model = linear_net()
    pruner = pruner_of(model, regrow="criticality", criticality=CriticalityOptions(curve="atan"))
    if collectives.rank() != 1:
        forward(model, mine(batch(0, 6)[0]), time_steps=T)
    return str(caught(pruner.step))


def sharded():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    model = linear_net()
    mesh = init_device_mesh("cpu", (collectives.world_size(),))
    model[0].weight = nn.Parameter(distribute_tensor(model[0].weight.data, mesh, [Shard(0)]))
    return caught(lambda: pruner_of(model))


def accelerated():
    """Accelerate's loop, gradients accumulated over two batches a step."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    plain = linear_net()
    model, optimizer = accelerator.prepare(plain, torch.optim.SGD(plain.parameters(), lr=0.2))
    pruner = Pruner(
        model,
        optimizer,
        torch.zeros(1, 6),
        time_steps=T,
        total_steps=2,
        sparsity=0.6,
        every=1,
        regrow="gradient",
    )
    with pruner:
        for step in range(4):
            x, y = map(mine, batch(step, 6))
            with accelerator.accumulate(model):
                accelerator.backward(LOSS(forward(model, x, time_steps=T), y))
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                pruner.step()
    return found(pruner) | {"type": type(model).__name__, "steps": pruner.steps}


def masked(case):
    if case == "cuda":
        device = torch.device("cuda", collectives.rank())
        torch.cuda.set_device(device)
        return {name: trained(name, "bucket-view", device=device) for name in ON_TRAINING}
    if case == "loader":
        return {name: scored_by_loader(name) for name in ON_LOADER}
    if case == "accelerate":
        return accelerated()
    return {name: trained(name, "plain") for name in ON_TRAINING} | {"whole": whole_forward()}


def extras():
    others = {
        f"{wrapper} {'first' if first else 'last'}": trained("gradient", wrapper, wrap_first=first)
        for wrapper in WRAPPERS
        for first in (True, False)
    }
    seed = {"seed": collectives.rank()}
    return {
        "wrapped": others,
        "apart": apart(),
        "half_observed": half_observed(),
        "steps": caught(lambda: pruner_of(linear_net(), total_steps=5 + collectives.rank())),
        "seeds": caught(lambda: pruner_of(linear_net(), **seed)),
        "copies": caught(lambda: pruner_of(DataParallel(linear_net()))),
        "sharded": sharded(),
    }


if __name__ == "__rank__":
    folder, rank, world = FOLDER, RANK, WORLD  # noqa: F821
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # never used: they have met
    dist.init_process_group(
        "nccl" if ARGUMENTS["case"] == "cuda" else "gloo",  # noqa: F821
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world,
        timeout=datetime.timedelta(seconds=30),
    )
    result = extras() if ARGUMENTS["case"] == "extras" else masked(ARGUMENTS["case"])  # noqa: F821
    (folder / f"result{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()
