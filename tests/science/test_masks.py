import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import DataError, ModelError
from spikeprune.science import memory_order as layout
from spikeprune.science.masks import (
    Mask,
    apply_,
    distance,
    expected_overlap,
    leaking,
    overlap,
    pack,
    returned,
    silence_,
    survival,
    unpack,
)
from spikeprune.science.select import keep_and_regrow

SHAPES = {"conv.weight": (3, 2, 3, 3), "fc.weight": (4, 5)}


def mask(seed, share=0.5, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return Mask({n: torch.rand(s, generator=generator) < share for n, s in shapes.items()})


def test_counts_by_hand():
    m = Mask({"a": torch.tensor([True, False, False, True]), "b": torch.tensor([[False]])})
    assert (m.live, m.total, m.density) == (2, 5, 0.4)
    assert m.per_tensor() == {"a": (2, 4), "b": (0, 1)}
    assert list(m) == ["a", "b"]
    assert len(m) == 2
    assert m["b"].shape == (1, 1)
    assert repr(m) == "Mask(2 tensors, 2 of 5 live)"
    assert Mask({}).density == 1.0


def test_only_bool_is_a_mask():
    with pytest.raises(ModelError, match=r"'a', got torch\.float32"):
        Mask({"a": torch.ones(2)})


def test_equality_is_by_content():
    assert mask(0) == mask(0)
    assert mask(0) != mask(1)
    assert mask(0) != Mask({})
    assert mask(0) != "mask"
    with pytest.raises(TypeError, match="unhashable"):
        hash(mask(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_apply_zeroes_the_dead_and_keeps_the_live_bit_for_bit(dtype):
    m = mask(0)
    parameters = {n: torch.nn.Parameter(torch.randn(s).to(dtype)) for n, s in SHAPES.items()}
    parameters["bias"] = torch.nn.Parameter(torch.randn(4))
    before = {n: p.detach().clone() for n, p in parameters.items()}
    for _ in range(2):
        apply_(parameters, m)
        assert torch.equal(parameters["bias"], before["bias"])
        for name, live in m.items():
            assert torch.equal(parameters[name][live], before[name][live])
            assert bool((parameters[name][~live] == 0).all())


def test_both_is_what_is_live_in_each():
    one = Mask({"a": torch.tensor([True, True, False])})
    other = Mask({"a": torch.tensor([True, False, True]), "b": torch.tensor([True])})
    assert one & other == Mask({"a": torch.tensor([True, False, False])})


def test_apply_skips_gradients_that_do_not_exist():
    apply_(dict.fromkeys(SHAPES), mask(0))
    gradients = {"conv.weight": torch.ones(SHAPES["conv.weight"]), "fc.weight": None}
    apply_(gradients, mask(0))
    assert gradients["conv.weight"].sum() == mask(0).per_tensor()["conv.weight"][0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layouts", ["same", "channels last", "only the tensor", "strided"])
def test_silencing_follows_every_layout_and_piece(layouts, dtype, monkeypatch):
    monkeypatch.setattr(layout, "_PIECE", 7)
    live = mask(0)["conv.weight"]
    tensor = torch.randn(SHAPES["conv.weight"], generator=torch.Generator().manual_seed(1)).to(
        dtype
    )
    expected = torch.where(live, tensor, 0.0)
    if layouts != "same":
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    if layouts == "channels last":
        live = live.contiguous(memory_format=torch.channels_last)
    if layouts == "strided":
        tensor = torch.stack([tensor, tensor], -1)[..., 0]
    assert leaking(tensor, live)
    silence_(tensor, live)
    assert torch.equal(tensor, expected)
    assert not leaking(tensor, live)


def test_what_is_not_a_number_still_shows():
    live = torch.tensor([True, False])
    tensor = torch.tensor([1.0, torch.nan])
    silence_(tensor, live)
    assert tensor.isnan().tolist() == [False, True]
    assert leaking(tensor, live)
    assert not leaking(torch.tensor([torch.inf, -0.0]), live)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match=r"not given: fc\.weight"):
        apply_({"conv.weight": torch.ones(SHAPES["conv.weight"])}, mask(0))
    with pytest.raises(ModelError, match="expected shape"):
        apply_({n: torch.ones(1) for n in SHAPES}, mask(0))
    for compare in (overlap, expected_overlap, survival, returned):
        with pytest.raises(ModelError, match="same parameters"):
            compare(mask(0, share=2.0), Mask({}))


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2**31), st.floats(0, 1))
def test_overlap_is_the_jaccard_index(first, second, share):
    a, b = mask(first, share), mask(second, share)
    flat = [torch.cat([t.flatten() for t in m.values()]) for m in (a, b)]
    both, either = int((flat[0] & flat[1]).sum()), int((flat[0] | flat[1]).sum())
    assert overlap(a, b) == overlap(b, a) == (both / either if either else 1.0)
    assert overlap(a, a) == 1.0


def test_the_distance_is_the_share_of_entries_that_differ():
    one = Mask({"a": torch.tensor([True, True, False]), "b": torch.tensor([False])})
    two = Mask({"a": torch.tensor([True, False, True]), "b": torch.tensor([False])})
    assert distance(one, two) == distance(two, one) == 0.5
    assert distance(one, one) == distance(Mask({}), Mask({})) == 0.0
    with pytest.raises(ModelError, match="two masks of the same parameters"):
        distance(one, Mask({}))


def test_expected_overlap_by_hand():
    a = Mask({"x": torch.tensor([1, 1, 0, 0]).bool(), "y": torch.tensor([1, 0, 0]).bool()})
    b = Mask({"x": torch.tensor([0, 1, 1, 0]).bool(), "y": torch.ones(3).bool()})
    # Common: 2 x 2 / 4 + 1 x 3 / 3 = 2 of 3 + 5.
    assert expected_overlap(a, b) == pytest.approx(2 / (3 + 5 - 2))
    nothing = Mask({"x": torch.zeros(4).bool()})
    assert expected_overlap(nothing, nothing) == 1.0


def test_expected_overlap_is_what_chance_gives():
    generator = torch.Generator().manual_seed(0)
    densities = {"x": (0.3, 0.6), "y": (0.1, 0.2)}

    def drawn(side):
        draw = {n: torch.rand(40_000, generator=generator) < d[side] for n, d in densities.items()}
        return Mask(draw)

    a, b = drawn(0), drawn(1)
    assert overlap(a, b) == pytest.approx(expected_overlap(a, b), abs=0.01)


def event(live, seed, keep, grow):
    generator = torch.Generator().manual_seed(seed)
    scores = [[torch.rand(m.shape, generator=generator) for m in live.values()] for _ in range(2)]
    result = keep_and_regrow(
        scores[0], [*live.values()], scores[1], keep=keep, grow=grow, tie=scores[0]
    )
    return [Mask(dict(zip(live, masks, strict=True))) for masks in result]


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 40), st.integers(0, 30))
def test_survival_and_the_two_kinds_of_return_add_up(seed, keep, grow):
    before = mask(seed)
    kept, regrown = event(before, seed, keep, grow)
    counts = returned(before, regrown)
    assert sum(counts) == regrown.live
    dropped = before.live - kept.live
    assert 0 <= counts.dropped_and_returned <= dropped
    assert 0 <= counts.dead_and_returned <= before.total - before.live
    after = Mask({n: kept[n] | regrown[n] for n in before})
    kept_next, _ = event(after, seed + 1, keep // 2, grow)
    share = survival(regrown, kept_next)
    if not regrown.live:
        assert share is None
    else:
        lost = sum(int((regrown[n] & ~kept_next[n]).sum()) for n in before)
        assert share * regrown.live + lost == pytest.approx(regrown.live)
    assert survival(regrown, None) is None


def test_returns_and_survival_by_hand():
    def of(*bits):
        return Mask({"w": torch.tensor([bool(b) for b in bits])})

    before, regrown = of(1, 1, 1, 0, 0), of(0, 0, 1, 1, 1)
    assert returned(before, regrown) == (1, 2)
    assert survival(regrown, of(1, 0, 1, 0, 0)) == pytest.approx(1 / 3)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=3))
def test_packing_is_undone_by_unpacking(seed, shapes):
    named = {str(i): s for i, s in enumerate(shapes)}
    m = mask(seed, shapes=named)
    packed = pack(m)
    assert all(packed[n].numel() == -(-m[n].numel() // 8) for n in named)
    assert all(packed[n].dtype == torch.uint8 for n in named)
    assert unpack(packed, named) == m


def test_the_lowest_bit_comes_first():
    m = Mask({"w": torch.tensor([True, False, True] + [False] * 5 + [True])})
    assert pack(m)["w"].tolist() == [5, 1]


@pytest.mark.parametrize(
    ("octets", "shape", "expected"),
    [
        ({}, (8,), "expected packed masks"),
        ({"w": torch.zeros(2, dtype=torch.uint8)}, (8,), "does not fit shape"),
        ({"w": torch.zeros(1)}, (8,), r"torch\.float32"),
    ],
)
def test_damaged_packs_are_refused(octets, shape, expected):
    with pytest.raises(DataError, match=expected):
        unpack(octets, {"w": shape})
