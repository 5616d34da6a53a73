"""Two processes on two cores beside one process on one core: the same net, the same global batch.

Processes are fresh and have one thread each; both ways take turns, and the second process sleeps
in a barrier while the first one works alone. `python -m benchmarks.distributed [--quick]` prints
this row only.
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

from benchmarks.nets import CASES, QUICK, ours
from benchmarks.timing import Row, faster
from spikeprune.distributed.data_parallel import data_parallel

PROCESSES, STEPS = 2, 3


def ms_of(trainer, steps):
    """Milliseconds of a training step, mean of some without a pause."""
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    return 1000 * (time.perf_counter() - started) / steps


def trainers(case, rank):
    """The same net twice: with the whole batch, and with this rank's share of it."""
    alone, together = ours(case, bf16=False), ours(case, bf16=False)
    run = together.forward
    parallel = data_parallel(together.model, lambda x: run(together.model, x))
    together.forward = lambda _, x: parallel(x)
    mine = slice(rank * case.batch // PROCESSES, (rank + 1) * case.batch // PROCESSES)
    together.images, together.labels = together.images[mine], together.labels[mine]
    return alone, together


def worker(rank, folder, quick):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(minutes=5),
    )
    alone, together = trainers(QUICK if quick else CASES["small"], rank)
    ms = {"alone": [], "together": []}
    for number in range(2 if quick else 10):  # the first warms up
        steps = STEPS if number else 1
        dist.barrier()
        if rank == 0:
            ms["alone"].append(ms_of(alone, steps))
        dist.barrier()
        ms["together"].append(ms_of(together, steps))
    if rank == 0:
        medians = {name: statistics.median(values[1:]) for name, values in ms.items()}
        (folder / "ms.json").write_text(json.dumps(medians))
    dist.barrier()
    dist.destroy_process_group()


def distributed_rows(*, quick: bool):
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(worker, (Path(folder), quick), nprocs=PROCESSES)
        ms = json.loads((Path(folder) / "ms.json").read_text())
    yield Row(
        f"training step, {QUICK if quick else CASES['small']} in all, one thread a process",
        *("fused fp32, 2 processes", ms["together"], "fused fp32, 1 process", ms["alone"]),
        faster(1.6, 1.9),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny: only to see that it runs")
    for row in distributed_rows(quick=parser.parse_args().quick):
        print(f"{row.benchmark}: {row.against} {row.against_cost:.1f} ms, ", end="")
        print(f"{row.ours} {row.ours_cost:.1f} ms, {row.measured:.2f}x")
