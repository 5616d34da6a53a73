"""Two processes on two cores beside one process on one core: the same net, the same global batch.

`python -m benchmarks.distributed [--quick]` prints the row alone. Processes are fresh and have one
thread each; rank 1 sleeps in a barrier while rank 0 works alone, and both ways take turns.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.timing import Row
from spikeprune import zoo
from spikeprune.adapters.base import fuse
from spikeprune.engine.forward import forward, loss_by_name
from spikeprune.engine.parallel import data_parallel

TIME_STEPS, PROCESSES = 4, 2


def net():
    torch.manual_seed(0)
    model = zoo.build(
        "vgg-small", classes=10, in_channels=1, image_size=28, time_steps=TIME_STEPS
    )
    fuse(model)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def forward_of(model):
    return lambda x: forward(model, x, time_steps=TIME_STEPS)


def seconds_of(run, optimizer, x, y, *, steps):
    """Seconds a training step, mean of some without a pause."""
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_by_name("mean-logits")(run(x), y).backward()
        optimizer.step()
    return (time.perf_counter() - started) / steps


def worker(rank, folder, size, rounds):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(minutes=5),
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, 1, 28, 28, generator=generator)
    y = torch.randint(10, (size,), generator=generator)
    model, optimizer = net()
    together = data_parallel(model, forward_of(model))
    single, single_optimizer = net()
    alone = forward_of(single)
    mine = slice(rank * size // PROCESSES, (rank + 1) * size // PROCESSES)
    times = {"alone": [], "together": []}
    for number in range(rounds + 1):  # the first warms up
        steps = 3 if number else 1
        dist.barrier()
        if rank == 0:
            times["alone"].append(seconds_of(alone, single_optimizer, x, y, steps=steps))
        dist.barrier()
        times["together"].append(seconds_of(together, optimizer, x[mine], y[mine], steps=steps))
    if rank == 0:
        medians = {name: 1000 * statistics.median(values[1:]) for name, values in times.items()}
        (folder / "times.json").write_text(json.dumps(medians))
    dist.barrier()
    dist.destroy_process_group()


def distributed_rows(*, quick: bool):
    size, rounds = (4, 1) if quick else (128, 9)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(worker, (Path(folder), size, rounds), nprocs=PROCESSES)
            times = json.loads((Path(folder) / "times.json").read_text())
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    what = f"training step of vgg-small, T {TIME_STEPS}, 28x28, global batch {size}, 1 thread each"
    yield Row(what, "2 processes", times["together"], "1 process", times["alone"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny: only to see that it runs")
    for row in distributed_rows(quick=parser.parse_args().quick):
        print(f"{row.benchmark}")
        print(f"{row.against} {row.against_ms:.1f} ms, {row.ours} {row.ours_ms:.1f} ms:", end=" ")
        print(f"{1 / row.ratio:.2f}x as fast")
