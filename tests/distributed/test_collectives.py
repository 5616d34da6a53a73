"""Collectives: equal results and errors on every rank, and nothing to do for one process."""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikeprune.distributed import collectives as ranks
from spikeprune.errors import RunError

HERE = Path(__file__).parent


@pytest.mark.parametrize("world", [2, 4])
def test_collectives(run_ranks, world):
    codes, results = run_ranks(HERE / "on_ranks.py", world)
    assert codes == [0] * world
    everyone = list(range(world))
    assert [r["rank"] for r in results] == [[k, world, k == 0] for k in everyone]
    last, others = world - 1, ", ".join(map(str, everyone[1:]))
    differ = "rank 1 differs" if world == 2 else f"ranks {others} differ"
    listed = "; ".join(f"rank {k}: {min(k, 1)}" for k in everyone)
    for rank, result in enumerate(results):
        assert result["sum"] == [sum(k + 1 for k in everyone), 10 * world]
        assert result["mean"] == sum(everyone) / world
        assert result["gather"] == [{"rank": k} for k in everyone]
        assert result["agree"] == "fine"
        own = f"ValueError: broken on {last}"
        assert result["disagree"] == (
            own if rank == last else f"RunError: rank {last} failed: {own}"
        )
        assert result["by_main"] == "made by 0"
        own = "ValueError: broken on 0"
        assert result["main_fails"] == (own if rank == 0 else f"RunError: rank 0 failed: {own}")
        assert result["main_first"] == rank
        assert result["same"] is None
        start = f"to be the same on all {world} ranks, but {differ} from rank 0"
        assert result["different"] == f"RunError: expected it {start} ({listed}); look"
        assert result["tensors"] == f"RunError: expected they {start}; look"
        factor = sum(k + 1 for k in everyone) / world
        assert result["settled"] == [factor, 2 * factor, 10]
        assert result["untouched"]


def test_one_process_needs_no_group():
    x = torch.ones(2)
    assert ranks.sum_over_ranks(x) is x
    assert (ranks.rank(), ranks.world_size(), ranks.is_main()) == (0, 1, True)
    assert ranks.gather("x") == ["x"]
    assert ranks.mean_over_ranks(3.0) == 3.0
    assert ranks.by_main(lambda: 1) == ranks.main_first(lambda: 1) == ranks.agree(lambda: 1) == 1
    ranks.require_same("x", 1, "")
    ranks.settle_buffers_(nn.BatchNorm1d(2))
    with pytest.raises(RunError, match="mine"):
        ranks.agree(_fails)


def _fails():
    raise RunError("mine")


def test_digest_knows_names_shapes_types_and_bits_but_not_the_memory_format():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    same = {"x": x.contiguous(memory_format=torch.channels_last)}
    assert ranks.digest({"x": x}) == ranks.digest(same)
    nudged = x.clone()
    nudged[1, 2, 3, 4] += 1e-6
    zero, one = torch.zeros(1), torch.zeros((), dtype=torch.int32)
    different = [
        {"x": x}, {"y": x}, {"x": nudged}, {"x": x.view(6, 20)}, {"x": x > 0}, {},
        {"x": zero}, {"x": one}, {"x": x, "y": x},
    ]  # fmt: skip
    assert len({ranks.digest(tensors) for tensors in different}) == len(different)
