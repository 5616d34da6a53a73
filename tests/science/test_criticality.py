from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import ConfigError, ObservationError, RunError
from spikeprune.science import memory_order as layout
from spikeprune.science.criticality import (
    REDUCTIONS,
    ChannelSum,
    add,
    channel_criticality,
    charge,
    compute,
    merge,
    per_channel,
    pool,
    rank_in_layer,
    sum_in_order,
)
from spikeprune.science.surrogate import CURVES, VALUES, named_curve

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def potentials(seed, steps, batch, channels, space, dtype):
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, batch, channels, *space)
    return 3 * torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def cuts(draw, size):
    inner = draw(st.lists(st.integers(1, max(size - 1, 1)), max_size=3))
    return list(pairwise(sorted({0, size, *(c for c in inner if c < size)})))


@st.composite
def cases(draw):
    x = potentials(
        draw(st.integers(0, 2**31)),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 6)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from([(), (3,), (2, 3), (2, 1, 2)])),
        draw(st.sampled_from([*TOLERANCE])),
    )
    curve = named_curve(draw(st.sampled_from([*CURVES])), draw(st.sampled_from(VALUES)))
    options = {kind: draw(st.sampled_from(REDUCTIONS)) for kind in ("space", "time")}
    return x, curve, options, cuts(draw, x.shape[0]), cuts(draw, x.shape[1])


def stream(x, curve, options, time_cuts, batch_cuts):
    state = None
    for start, stop in batch_cuts:
        partial = None
        for first, last in time_cuts:
            partial, _ = charge(partial, x[first:last, start:stop], curve, options["time"])
        state = add(state, pool(partial, x.shape[0], **options), stop - start)
    return compute(state)


def slow_reference(x, curve, space, time):
    def reduce(values, how):
        return max(values) if how == "max" else sum(values) / len(values)

    steps, batch, channels = x.shape[:3]
    g = curve(x).flatten(3) if x.ndim > 3 else curve(x).unsqueeze(3)
    scores = []
    for c in range(channels):
        samples = []
        for b in range(batch):
            places = [
                reduce([g[t, b, c, p].item() for t in range(steps)], time)
                for p in range(g.shape[3])
            ]
            samples.append(reduce(places, space))
        scores.append(sum(samples) / batch)
    return torch.tensor(scores, dtype=x.dtype)


@settings(deadline=None)
@given(cases())
def test_streaming_equals_storing_however_time_and_batch_are_split(case):
    x, curve, options, time_cuts, batch_cuts = case
    stored = channel_criticality(x, curve, **options)
    streamed = stream(x, curve, options, time_cuts, batch_cuts)
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(streamed, stored, rtol=tolerance, atol=tolerance)
    assert streamed.dtype == x.dtype
    assert streamed.shape == (x.shape[2],)


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_scores_are_finite_non_negative_and_independent_of_sample_order(case, random):
    x, curve, options, time_cuts, batch_cuts = case
    scores = stream(x, curve, options, time_cuts, batch_cuts)
    assert bool(scores.isfinite().all())
    assert bool((scores >= 0).all())
    order = random.sample(range(x.shape[1]), x.shape[1])
    again = stream(x[:, order], curve, options, time_cuts, batch_cuts)
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(again, scores, rtol=tolerance, atol=tolerance)


@settings(deadline=None, max_examples=30)
@given(cases())
def test_storing_equals_the_definition_in_loops(case):
    x, curve, options, _, _ = case
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(
        channel_criticality(x, curve, **options),
        slow_reference(x, curve, **options),
        rtol=tolerance,
        atol=tolerance,
    )


def test_hand_worked_case():
    # Two steps, one sample, one channel, two places; triangle: g = 1, 0.5 and 0.25, 0.75.
    x = torch.tensor([[[[0.0, -0.75]]], [[[0.5, 0.25]]]])
    curve = named_curve("triangle")
    expected = {("max", "mean"): 0.75, ("mean", "mean"): 0.625}
    expected |= {("max", "max"): 1.0, ("mean", "max"): 0.875}
    for (space, time), score in expected.items():
        assert channel_criticality(x, curve, space=space, time=time).item() == score


def test_charge_does_not_write_to_its_arguments():
    x = potentials(0, 3, 2, 2, (2,), torch.float32)
    before, partial = x.clone(), torch.zeros(2, 2, 2)
    for time in REDUCTIONS:
        charge(partial, x, torch.abs, time)
    assert torch.equal(x, before)
    assert partial.eq(0).all()


def test_half_precision_is_summed_in_single():
    x = potentials(0, 4, 2, 3, (2,), torch.bfloat16)
    curve = named_curve("atan")
    expected = channel_criticality(x.float(), curve)
    assert torch.equal(channel_criticality(x, curve), expected)
    streamed = stream(x, curve, {"space": "max", "time": "mean"}, [(0, 4)], [(0, 2)])
    torch.testing.assert_close(streamed, expected)


def test_merge_equals_one_sum():
    a, b = ChannelSum(torch.tensor([1.0, 2.0]), 3), ChannelSum(torch.tensor([3.0, 6.0]), 1)
    assert compute(merge(a, b)).tolist() == [1.0, 2.0]
    assert merge(a, b).samples == merge(b, a).samples == 4


def test_unknown_reductions_list_the_valid_ones():
    x = torch.zeros(1, 1, 1)
    curve = named_curve("atan")
    for call in (
        lambda: charge(None, x, curve, "sum"),
        lambda: pool(x[0], 1, space="sum"),
        lambda: pool(x[0], 1, time="sum"),
        lambda: channel_criticality(x, curve, space="sum"),
        lambda: channel_criticality(x, curve, time="sum"),
    ):
        with pytest.raises(ConfigError, match="max, mean"):
            call()


@pytest.mark.parametrize("shape", [(0, 2, 3), (1, 0, 3), (2, 3)])
def test_potentials_that_are_empty_or_flat_are_refused(shape):
    curve = named_curve("atan")
    with pytest.raises(ObservationError, match=r"\[T, B, C, \*space\]"):
        charge(None, torch.zeros(shape), curve, "mean")
    with pytest.raises(ObservationError, match=r"\[T, B, C, \*space\]"):
        channel_criticality(torch.zeros(shape), curve)


def test_sums_that_cannot_be_formed_are_refused():
    with pytest.raises(ObservationError, match="at least one recorded time step"):
        pool(torch.zeros(1, 1), 0)
    with pytest.raises(ObservationError, match="at least one observed sample"):
        compute(ChannelSum(torch.zeros(1), 0))
    with pytest.raises(ObservationError, match="one neuron layer per state"):
        add(ChannelSum(torch.zeros(2), 1), torch.zeros(1), 1)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=20), st.sampled_from([torch.float32, torch.float64]))
def test_rank_equals_the_mean_place_among_ties(values, dtype):
    ranks = rank_in_layer(torch.tensor(values, dtype=dtype))
    expected = [
        (sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2) / len(values)
        for value in values
    ]
    torch.testing.assert_close(ranks, torch.tensor(expected, dtype=dtype))
    assert bool(((ranks > 0) & (ranks <= 1)).all())


def test_rank_refuses_what_is_not_a_number():
    with pytest.raises(RunError, match="not a number"):
        rank_in_layer(torch.tensor([0.0, torch.nan]))


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 4, 5, 6), (1, 7, 3, 2, 2)])
@pytest.mark.parametrize("layout_of", ["contiguous", "channels last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_blocks_of_samples_change_nothing(shape, layout_of, dtype, monkeypatch):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[:, 0] = 0.0  # at threshold a neuron fires
    if layout_of == "channels last" and x.ndim == 5:
        flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = flat.unflatten(0, shape[:2])
    curve = named_curve("atan")
    whole = charge(None, x, curve, "mean")
    monkeypatch.setattr(layout, "_BLOCK", 2 * x[:, 0].numel())
    parts = charge(None, x, curve, "mean")
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])
    torch.testing.assert_close(whole[0], curve(x.to(whole[0].dtype)).sum(0))
    assert torch.equal(whole[1], (x >= 0).sum((0, 1, *range(3, x.ndim))))


@pytest.mark.parametrize("space", [(1, 1), (1, 2), (3, 3), (4, 5), (2, 3, 2)])
def test_the_maximum_over_space_is_the_same_in_every_memory_format(space):
    x = potentials(0, 1, 3, 5, space, torch.float32)[0]
    last = x.movedim(1, -1).contiguous().movedim(-1, 1)
    assert last.stride(1) == 1
    assert torch.equal(pool(last, 1), x.flatten(2).amax(2).sum(0))
    last[1, 2] = torch.nan
    assert pool(last, 1).isnan().tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("space", [(), (4,), (3, 2)])
def test_spikes_are_counted_per_channel(space):
    fired = torch.randint(5, (6, 3, *space), generator=torch.Generator().manual_seed(0))
    counts = per_channel(fired.float())
    assert counts.dtype == torch.int64
    assert torch.equal(counts, fired.transpose(0, 1).flatten(1).sum(1))


@pytest.fixture
def threads():
    """Set the number of CPU threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "shape", [(2, 70_000, 1), (1, 1, 1, 400, 400), (2, 40, 1, 30, 30), (2, 40, 16, 14, 14)]
)
def test_no_sum_depends_on_the_number_of_threads(threads, shape, channels_last):
    """All have more entries than torch sums in one thread, and some a single channel."""
    x, curve = (
        potentials(0, *shape[:3], shape[3:], torch.float32),
        named_curve("atan", "derivative"),
    )
    if channels_last:
        x = x.movedim(2, -1).contiguous().movedim(-1, 2)
    for space, time in product(REDUCTIONS, REDUCTIONS):
        found = []
        for count in (1, 2, 4):
            threads(count)
            partial, fired = charge(None, x, curve, time)
            found.append((pool(partial, len(x), space=space, time=time), fired))
        assert all(
            torch.equal(a, b) for later in found for a, b in zip(found[0], later, strict=True)
        )


@pytest.mark.parametrize("dims", [(0,), (0, 2), (0, 1)])
def test_sums_in_order_are_sums(dims):
    for shape in ((5, 3, 2), (5, 1, 1), (5, 1, 4)):
        x = torch.arange(float(torch.tensor(shape).prod())).view(shape)
        assert torch.equal(sum_in_order(x, dims), x.sum(dims))
