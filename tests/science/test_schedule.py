from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprune.errors import ConfigError
from spikeprune.science.schedule import (
    FRACTIONS,
    SCHEDULES,
    density_at,
    event_steps,
    fraction_at,
    starts_sparse,
)

ALL_ALONG = {"constant", "at-start"}
names = st.sampled_from([*SCHEDULES])


def test_closed_forms():
    assert density_at(0, 4, 0.1) == 1.0
    assert density_at(1, 4, 0.1) == pytest.approx(0.1 + 0.9 * 0.75**3)
    assert density_at(2, 4, 0.1, initial=0.5) == pytest.approx(0.1 + 0.4 * 0.5**3)
    assert density_at(1, 4, 0.1, schedule="linear") == pytest.approx(0.775)
    assert [density_at(k, 3, 0.1, schedule="one-shot") for k in range(4)] == [1.0, 0.1, 0.1, 0.1]
    assert density_at(1, 2, 0.01, schedule="geometric") == pytest.approx(0.1)
    # Iterative magnitude pruning: a quarter of what lives, eleven times (method, section 6).
    assert density_at(7, 11, 0.75**11, schedule="geometric") == pytest.approx(0.75**7)
    sine = [density_at(k, 4, 0.2, schedule="sine") for k in (1, 2)]
    assert sine == pytest.approx([1 - 0.4 * (1 - 2**-0.5), 0.6])
    assert [density_at(k, 2, 0.1, schedule="early-bird") for k in range(3)] == [1.0, 0.1, 0.1]
    assert event_steps(7, 3, schedule="early-bird") == (3, 6)
    assert [density_at(k, 3, 0.1, schedule="constant") for k in range(4)] == [0.1] * 4


def test_closed_forms_of_the_regrowth_fraction():
    assert fraction_at(3, 7, 0.2) == 0.2
    cosine = [fraction_at(k, 4, 0.3, schedule="cosine") for k in range(5)]
    half = 2**-0.5
    expected = [0.3, 0.15 * (1 + half), 0.15, 0.15 * (1 - half), 0.0]
    assert cosine == pytest.approx(expected)
    ends = [fraction_at(k, 4, 0.5, schedule="cosine-to-tenth") for k in (0, 2, 4)]
    assert ends == pytest.approx([0.5, 0.275, 0.05])
    ends = [fraction_at(k, 4, 0.5, schedule="cosine-to-0.005") for k in (0, 2, 4)]
    assert ends == pytest.approx([0.5, 0.2525, 0.005])


@given(st.sampled_from([*FRACTIONS]), st.integers(1, 40), st.floats(0, 1))
def test_fractions_never_rise_and_stay_within_their_share(name, n, share):
    fractions = [fraction_at(k, n, share, schedule=name) for k in range(n + 1)]
    assert fractions[0] == pytest.approx(share)
    assert all(0 <= later <= earlier + 1e-12 for earlier, later in pairwise(fractions))


def test_fractions_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"unknown fraction schedule .line.*constant, cosine"):
        fraction_at(1, 2, 0.1, schedule="line")
    with pytest.raises(ConfigError, match="event k of n"):
        fraction_at(3, 2, 0.1)


def test_a_net_that_starts_sparse_has_an_event_before_the_first_step():
    assert not starts_sparse("cubic")
    assert starts_sparse("cubic", 0.5)
    assert starts_sparse("constant")
    assert event_steps(6, 3, initial=0.5) == (0, 3, 6)
    assert event_steps(6, 3, schedule="constant") == (0, 3, 6)
    assert event_steps(6, 3, schedule="at-start") == (0,)


def test_events_may_go_on_after_the_density_has_fallen():
    assert event_steps(7, 3, until=13) == (3, 6, 9, 12)
    assert event_steps(7, 3, until=7) == (3, 6)
    assert event_steps(7, 3, schedule="one-shot", until=13) == (7, 10, 13)
    assert event_steps(6, 3, schedule="constant", until=9) == (0, 3, 6, 9)
    assert event_steps(6, 3, schedule="at-start", until=9) == (0,)


@settings(deadline=None)
@given(names, st.integers(1, 50), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_density_falls_from_initial_to_exactly_final(name, n, final, initial):
    assume(final <= initial)
    densities = [density_at(k, n, final, initial=initial, schedule=name) for k in range(n + 1)]
    assert densities[0] == pytest.approx(final if name in ALL_ALONG else initial)
    assert densities[-1] == final
    assert densities == sorted(densities, reverse=True)


@settings(deadline=None)
@given(names)
def test_progress_runs_from_zero_to_one(name):
    assert SCHEDULES[name](0.0) == (name in ALL_ALONG)
    assert SCHEDULES[name](1.0) == 1.0


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 100), names)
def test_events_are_every_so_many_steps(total, every, name):
    assume(every <= total)
    steps = event_steps(total, every, schedule=name)
    if name == "one-shot":
        assert steps == (total,)
    elif name == "at-start":
        assert steps == (0,)
    elif name == "constant":
        assert steps == tuple(range(0, total + 1, every))
    else:
        assert steps == tuple(k * every for k in range(1, total // every + 1))


def test_no_event_is_refused():
    with pytest.raises(ConfigError, match="no event"):
        event_steps(99, 100)
    for name in SCHEDULES.keys() - {"at-start"}:
        with pytest.raises(ConfigError, match="no event"):
            event_steps(0, 1, schedule=name)
    with pytest.raises(ConfigError, match="at least 1 step"):
        event_steps(10, 0)


def test_one_shot_needs_no_interval():
    assert event_steps(10, 100, schedule="one-shot") == (10,)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_events_outside_the_schedule_are_refused(k, n):
    with pytest.raises(ConfigError, match="event k of n"):
        density_at(k, n, 0.1)


@pytest.mark.parametrize(("final", "initial"), [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1), (-0.1, 1.0)])
def test_densities_out_of_range_are_refused(final, initial):
    with pytest.raises(ConfigError, match="0 < final <= initial <= 1"):
        density_at(1, 2, final, initial=initial)


def test_unknown_schedules_list_the_valid_ones():
    for call in (
        lambda: density_at(1, 2, 0.1, schedule="cosine"),
        lambda: event_steps(10, 1, schedule="cosine"),
    ):
        with pytest.raises(ConfigError, match="cubic, early-bird, geometric, linear, one-shot"):
            call()
