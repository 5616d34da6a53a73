"""Pruning on several ranks: equal masks, and where possible those of one process."""

import json
import math
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from spikeprune import Pruner, evaluate, trace
from spikeprune.distributed.data_parallel import data_parallel, inner_model, inner_optimizer
from spikeprune.errors import ModelError

WORKER = Path(__file__).parent / "pruner_on_ranks.py"


@pytest.fixture(scope="module")
def alone():
    """The worker's functions, to be run in this one process."""
    return runpy.run_path(str(WORKER))


def as_json(value):
    return json.loads(json.dumps(value))


def close(a, b):
    """Whether two nested results agree up to rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == b or math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)


@pytest.mark.parametrize("world", [2, 4])
def test_eval_scores_and_masks_are_those_of_one_process_bit_for_bit(run_ranks, alone, world):
    codes, results = run_ranks(WORKER, world, case="loader")
    assert codes == [0] * world
    expected = as_json(alone["masked"]("loader"))
    for single in expected.values():
        assert any(0 < sum(mask) < len(mask) for mask in single["masks"].values())
    assert [bool(expected[name]["scores"]) for name in ("criticality", "random")] == [True, False]
    for result in results:
        assert result == expected


@pytest.mark.parametrize("world", [2, 4])
def test_training_without_batchnorm_is_that_of_one_process_up_to_rounding(run_ranks, alone, world):
    codes, results = run_ranks(WORKER, world, case="training")
    assert codes == [0] * world
    for result in results:
        assert result == results[0]  # bit for bit
    expected = as_json(alone["masked"]("training"))
    assert close(results[0], expected)
    assert any(0 < sum(m) < len(m) for m in expected["gradient"]["masks"].values())


def test_wrappers_refusals_and_ranks_that_come_apart(run_ranks, alone):
    codes, results = run_ranks(WORKER, 2, case="extras")
    assert codes == [0, 0]
    expected = as_json(alone["trained"]("gradient", "plain"))
    for rank, result in enumerate(results):
        for found in result["wrapped"].values():
            assert close(found, expected)
        message, hooks = result["apart"]
        assert message.startswith("RunError: expected the masks after step 1 to be the same on all")
        assert "rank 1 differs from rank 0" in message
        assert "DistributedDataParallel" in message
        assert hooks == 0
        start = "ObservationError:" if rank == 1 else "RunError: rank 1 failed: ObservationError:"
        assert result["half_observed"].startswith(start)
        assert "rank 0: (5, 3, 0); rank 1: (6, 3, 0)" in result["steps"]
        assert "rank 0: (1, 3, 0); rank 1: (1, 3, 1)" in result["seeds"]
        assert "got DataParallel" in result["copies"]
        assert "sharded over processes" in result["sharded"]


def test_accelerate_with_accumulated_gradients(run_ranks, alone):
    pytest.importorskip("accelerate", reason="Accelerate is an extra")
    codes, results = run_ranks(WORKER, 2, case="accelerate")
    assert codes == [0, 0]
    first, second = results
    assert first == second
    assert first["type"] == "DistributedDataParallel"
    assert first["steps"] == len(first["events"]) == 2
    assert first["masks"] == as_json(reference(alone))


def reference(alone):
    """The same loop in one process: two batches a step, the mean of their gradients."""
    model = alone["linear_net"]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with alone["Pruner"](
        model,
        optimizer,
        torch.zeros(1, 6),
        time_steps=alone["T"],
        total_steps=2,
        sparsity=0.6,
        every=1,
        regrow="gradient",
    ) as pruner:
        for step in range(4):
            x, y = alone["batch"](step, 6)
            logits = alone["forward"](model, x, time_steps=alone["T"])
            (alone["LOSS"](logits, y) / 2).backward()
            if step % 2:
                optimizer.step()
                optimizer.zero_grad()
                pruner.step()
    return {name: mask.flatten().int().tolist() for name, mask in pruner.mask.items()}


def test_one_process_is_left_as_it_is():
    model, run = nn.Linear(2, 2), abs
    optimizer = torch.optim.SGD(model.parameters())
    assert data_parallel(model, run) is run
    assert inner_model(model) is model
    assert inner_optimizer(optimizer) is optimizer


def test_a_compiled_net_is_refused_where_it_comes_in():
    whole, part, in_place = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2)
    part[0] = torch.compile(part[0])
    in_place.compile()
    x = torch.rand(4, 2)
    for model in (torch.compile(whole), part, in_place):
        optimizer = torch.optim.SGD(model.parameters())
        for give in (
            lambda model=model: inner_model(model),
            lambda model=model, optimizer=optimizer: Pruner(
                model, optimizer, x, time_steps=1, total_steps=1, sparsity=0.5
            ),
            lambda model=model: trace(model, x),
            lambda model=model: evaluate(model, [(x, torch.zeros(4))], time_steps=1),
        ):
            with pytest.raises(ModelError, match=r"is compiled by torch.compile.*give the net as"):
                give()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices for nccl")
def test_masks_agree_on_gpus(run_ranks):
    codes, results = run_ranks(WORKER, 2, case="cuda")
    assert codes == [0, 0]
    assert results[0] == results[1]
