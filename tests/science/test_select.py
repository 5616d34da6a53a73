import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.science import ranked_values
from spikeprune.science.ranked_values import Magnitude
from spikeprune.science.select import keep_and_regrow, top_counts, top_k

DTYPES = [torch.float32, torch.float64]
quick = settings(deadline=None)


def reference(primary, k, candidates, tie=None):
    """Slow and independent: a Python sort of (primary, tie, index)."""
    entries = []
    for i, mask in enumerate(candidates):
        scores = primary[i].expand(mask.shape).flatten().tolist()
        ties = tie[i].expand(mask.shape).flatten().tolist() if tie else [0.0] * mask.numel()
        for j, (candidate, s, t) in enumerate(
            zip(mask.flatten().tolist(), scores, ties, strict=True)
        ):
            if candidate:
                entries.append((-s, -t, i, j))
    chosen = [torch.zeros(mask.numel(), dtype=torch.bool) for mask in candidates]
    for _, _, i, j in sorted(entries)[:k]:
        chosen[i][j] = True
    return [c.view(mask.shape) for c, mask in zip(chosen, candidates, strict=True)]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def count(masks):
    return sum(int(m.sum()) for m in masks)


shapes = st.one_of(
    st.tuples(st.integers(0, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
)


@st.composite
def pools(draw):
    """Coarsely quantised scores, so that ties abound; some constant along axes."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from(DTYPES))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))

    def scores(shape):
        constant = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        own = [1 if flat and n else n for n, flat in zip(shape, constant, strict=True)]
        return (torch.randint(levels, own, generator=generator) - levels // 2).to(dtype) / 3

    masks = draw(st.lists(shapes, min_size=1, max_size=4))
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    candidates = [torch.rand(s, generator=generator) <= share for s in masks]
    primary, tie, growth = ([scores(s) for s in masks] for _ in range(3))
    return primary, tie, growth, candidates


@quick
@given(pools(), st.floats(0, 1), st.booleans(), st.booleans())
def test_top_k_equals_a_sort_by_score_tie_and_index(pool, share, with_tie, small_chunks):
    primary, tie, _, candidates = pool
    tie = tie if with_tie else None
    k = round(share * count(candidates))
    with pytest.MonkeyPatch.context() as patch:
        if small_chunks:
            patch.setattr(ranked_values, "_CHUNK", 3)
            patch.setattr(ranked_values, "_SAMPLE", 2)
            patch.setattr(ranked_values, "_FEW", 2)
        chosen = top_k(primary, k, candidates=candidates, tie=tie)
    assert count(chosen) == k
    assert same(chosen, reference(primary, k, candidates, tie))


@quick
@given(pools(), st.floats(0, 1), st.floats(0, 1))
def test_keep_and_regrow_holds_its_invariants(pool, share, split):
    saliency, tie, growth, live = pool
    total = sum(m.numel() for m in live)
    wanted = round(share * total)
    keep = round(split * wanted)
    kept, regrown = keep_and_regrow(saliency, live, growth, keep=keep, grow=wanted - keep, tie=tie)
    assert count(kept) + count(regrown) == wanted
    assert count(kept) == min(keep, count(live))
    for k, r, alive in zip(kept, regrown, live, strict=True):
        assert not bool((k & ~alive).any())
        assert not bool((k & r).any())
    assert same(kept, reference(saliency, count(kept), live, tie))
    outside = [~k for k in kept]
    assert same(regrown, reference(growth, count(regrown), outside, tie))


def test_signed_zeros_and_infinities_are_ordered_as_numbers():
    scores = [torch.tensor([-0.0, 0.0, -math.inf, math.inf, -0.0])]
    candidates = [torch.ones(5, dtype=torch.bool)]
    for k, expected in [(1, [3]), (2, [0, 3]), (3, [0, 1, 3]), (4, [0, 1, 3, 4])]:
        (chosen,) = top_k(scores, k, candidates=candidates)
        assert chosen.nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_exact(dtype):
    scores = [torch.randn(50, generator=torch.Generator().manual_seed(0)).to(dtype)]
    candidates = [torch.ones(50, dtype=torch.bool)]
    assert same(top_k(scores, 20, candidates=candidates), reference(scores, 20, candidates))


def test_mixed_types_are_compared_in_the_wider():
    low = torch.tensor([1.0], dtype=torch.float32)
    high = torch.tensor([1.0 + 1e-12], dtype=torch.float64)
    chosen = top_k([low, high], 1, candidates=[torch.ones(1, dtype=torch.bool)] * 2)
    assert [bool(c) for c in chosen] == [False, True]


def test_index_order_does_not_depend_on_the_memory_layout():
    scores = torch.zeros(2, 3, 2, 2)
    last = torch.ones(2, 3, 2, 2, dtype=torch.bool).contiguous(memory_format=torch.channels_last)
    (chosen,) = top_k([scores], 5, candidates=[last])
    assert chosen.flatten().nonzero().flatten().tolist() == [0, 1, 2, 3, 4]


def test_dropped_weights_may_return_and_dead_ones_only_by_regrowth():
    weight = torch.tensor([0.9, 0.8, 0.1, 0.0, 0.0])
    live = torch.tensor([True, True, True, False, False])
    growth = torch.tensor([0.0, 0.0, 1.0, 0.5, 0.9])
    (kept,), (regrown,) = keep_and_regrow([weight], [live], [growth], keep=1, grow=2, tie=[weight])
    assert kept.nonzero().flatten().tolist() == [0]
    assert regrown.nonzero().flatten().tolist() == [2, 4]


def test_too_few_live_weights_are_made_up_by_regrowth():
    live = torch.tensor([True, False, False])
    scores = torch.tensor([1.0, 2.0, 3.0])
    kept, regrown = keep_and_regrow([scores], [live], [scores], keep=2, grow=0, tie=[scores])
    assert kept[0].tolist() == [True, False, False]
    assert regrown[0].tolist() == [False, False, True]


def test_without_growth_nothing_comes_back():
    live = torch.tensor([True, True, False])
    scores = torch.tensor([1.0, 2.0, 3.0])
    kept, regrown = keep_and_regrow([scores], [live], None, keep=1, grow=0, tie=[scores])
    assert kept[0].tolist() == [False, True, False]
    assert not regrown[0].any()
    with pytest.raises(BudgetError, match="regrowth is off"):
        keep_and_regrow([scores], [live], None, keep=3, grow=0, tie=[scores])


@pytest.mark.parametrize(
    ("scores", "options", "error", "expected"),
    [
        (torch.zeros(3), {"k": 4}, BudgetError, "0 to 3 of 3"),
        (torch.zeros(3), {"k": -1}, BudgetError, "got -1"),
        (torch.tensor([0.0, 1.0, math.nan]), {"k": 1}, RunError, "not a number"),
        (torch.zeros(2), {"k": 1}, ConfigError, "broadcast to"),
        (torch.zeros(1, 3), {"k": 1}, ConfigError, "broadcast to"),
        (torch.zeros(3, dtype=torch.complex64), {"k": 1}, ConfigError, "real scores"),
        (torch.zeros(3), {"k": 1, "candidates": [torch.ones(3)]}, ConfigError, "bool tensors"),
        (
            torch.zeros(()),
            {"k": 1, "candidates": [torch.tensor(True)]},
            ConfigError,
            "with an axis",
        ),
        (torch.zeros(3), {"k": 1, "tie": []}, ConfigError, "expected 1 tensors"),
        (torch.zeros(3), {"k": 0, "tie": [torch.full((3,), math.nan)]}, RunError, "not a number"),
    ],
)
def test_bad_input_is_refused(scores, options, error, expected):
    arguments = {"candidates": [torch.ones(3, dtype=torch.bool)]} | options
    with pytest.raises(error, match=expected):
        top_k([scores], **arguments)


def test_keep_and_regrow_refuses_masks_that_are_not_bool():
    with pytest.raises(ConfigError, match="bool tensors"):
        keep_and_regrow([torch.ones(1)], [torch.ones(1)], None, keep=1, grow=0, tie=[torch.ones(1)])


def test_more_weights_than_there_are_is_refused():
    live, scores = [torch.tensor([True, False])], [torch.ones(2)]
    with pytest.raises(BudgetError, match="got 2"):
        keep_and_regrow(scores, live, scores, keep=1, grow=2, tie=scores)


def test_arguments_are_not_written_to():
    scores, live = torch.tensor([[1.0], [1.0]]), torch.ones(2, 2, dtype=torch.bool)
    tie = torch.arange(4.0).view(2, 2)
    keep_and_regrow([scores], [live], [scores], keep=1, grow=1, tie=[tie])
    assert live.all()
    assert scores.flatten().tolist() == [1.0, 1.0]
    assert tie.flatten().tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("k", [0, 2, 4])
def test_what_is_returned_is_new(k):
    candidates = [torch.ones(2, 2, dtype=torch.bool)]
    (chosen,) = top_k([torch.zeros(2, 2)], k, candidates=candidates)
    chosen.logical_not_()
    assert bool(candidates[0].all())


@quick
@given(pools(), st.floats(0, 1))
def test_counts_are_those_of_the_choice(pool, share):
    primary, _, _, candidates = pool
    k = round(share * count(candidates))
    chosen = top_k(primary, k, candidates=candidates)
    assert top_counts(primary, k, candidates=candidates) == [int(c.sum()) for c in chosen]


@quick
@given(pools(), st.floats(0, 1))
def test_a_magnitude_stands_for_its_copy(pool, share):
    primary, tie, _, candidates = pool
    k = round(share * count(candidates))
    lazy = top_k([Magnitude(s) for s in primary], k, candidates=candidates, tie=tie)
    assert same(lazy, top_k([s.abs() for s in primary], k, candidates=candidates, tie=tie))


@pytest.mark.parametrize("layouts", ["both", "mask", "scores"])
def test_scores_and_masks_may_be_laid_out_differently(layouts):
    generator = torch.Generator().manual_seed(0)
    scores, growth = (torch.rand(6, 5, 3, 3, generator=generator).round(decimals=1) for _ in "ab")
    live = torch.rand(scores.shape, generator=generator) < 0.5
    plain = keep_and_regrow([scores], [live], [growth], keep=40, grow=30, tie=[scores])
    if layouts != "mask":
        scores = scores.contiguous(memory_format=torch.channels_last)
    if layouts != "scores":
        live = live.contiguous(memory_format=torch.channels_last)
    other = keep_and_regrow([scores], [live], [growth], keep=40, grow=30, tie=[scores])
    assert same(plain.kept, other.kept)
    assert same(plain.regrown, other.regrown)
    assert other.kept[0].stride() == live.stride()


SCRIPT = """
import ctypes
import gc
import torch
from pathlib import Path
from spikeprune.science.ranked_values import Magnitude
from spikeprune.science.select import keep_and_regrow

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))

torch.set_num_threads(1)
weights = [torch.randn(1000, 2000) for _ in range(5)]
live = [w > -0.5 for w in weights]
growth = [torch.rand(1000, 1) for _ in weights]
tie = [Magnitude(w) for w in weights]

def event(k):
    return keep_and_regrow(tie, live, growth, keep=k, grow=k // 4, tie=tie)

event(2_500_000)  # loads what is loaded once
added = []
for _ in range(3):  # a busy system takes pages away meanwhile: the least is the event's own
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    event(2_500_000)
    added.append(status("VmHWM") - before)
print(min(added) / sum(w.nbytes for w in weights))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")
def test_an_event_needs_much_less_memory_than_the_weights():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # The two sets that it returns are half of it: a bool is a quarter of a float.
    assert float(done.stdout) < 0.8
