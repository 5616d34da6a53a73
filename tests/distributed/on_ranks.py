"""What every rank does for `test_collectives.py`; run by the fixture `run_ranks`."""

import datetime
import json

import torch
import torch.distributed as dist
from torch import nn

from spikeprune.distributed import collectives as ranks
from spikeprune.errors import SpikePruneError


def caught(work):
    try:
        return work()
    except (SpikePruneError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def fails_on(rank):
    def work():
        if ranks.rank() == rank:
            raise ValueError(f"broken on {rank}")
        return "fine"

    return work


def settled():
    model = nn.Module()
    model.register_buffer("mean", torch.tensor([1.0, 2.0]) * (ranks.rank() + 1))
    model.register_buffer("count", torch.tensor(10 + ranks.rank()))
    ranks.settle_buffers_(model)
    return [*model.mean.tolist(), int(model.count)]


def untouched():
    model = nn.Module()
    model.register_buffer("third", torch.full((3,), 0.1))
    before = model.third.clone()
    ranks.settle_buffers_(model)
    return bool((before == model.third).all())


def main(rank, world):
    order = []
    return {
        "rank": [ranks.rank(), ranks.world_size(), ranks.is_main()],
        "sum": ranks.sum_over_ranks(torch.tensor([rank + 1, 10])).tolist(),
        "mean": ranks.mean_over_ranks(float(rank)),
        "gather": ranks.gather({"rank": rank}),
        "agree": caught(lambda: ranks.agree(fails_on(world))),
        "disagree": caught(lambda: ranks.agree(fails_on(world - 1))),
        "by_main": ranks.by_main(lambda: f"made by {ranks.rank()}"),
        "main_fails": caught(lambda: ranks.by_main(fails_on(0))),
        "main_first": ranks.main_first(lambda: order.append(rank) or rank),
        "same": caught(lambda: ranks.require_same("it", 3, "look")),
        "different": caught(lambda: ranks.require_same("it", min(rank, 1), "look")),
        "tensors": caught(
            lambda: ranks.require_same_tensors("they", {"a": torch.tensor(rank > 0)}, "look")
        ),
        "settled": settled(),
        "untouched": untouched(),
    }


if __name__ == "__rank__":
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{FOLDER}/meeting",  # noqa: F821
        rank=RANK,  # noqa: F821
        world_size=WORLD,  # noqa: F821
        timeout=datetime.timedelta(seconds=30),
    )
    result = main(RANK, WORLD)  # noqa: F821
    (FOLDER / f"result{RANK}.json").write_text(json.dumps(result))  # noqa: F821
    dist.destroy_process_group()
