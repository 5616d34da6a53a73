"""When events happen and with which options each is run."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.pruning.events.schedule import planned_events
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.schedule import fraction_at


def options(**changes):
    return PruneOptions.of(**{"sparsity": 0.8} | changes)


def test_a_dense_start_has_an_event_every_so_many_steps():
    made = options(schedule="linear", regrow_fraction=0.4)
    found = planned_events(made, 12, at=None)
    assert list(found) == [*range(1, 13)]  # about fifteen unless asked otherwise
    found = planned_events(options(schedule="linear", every=4), 12)
    assert list(found) == [4, 8, 12]
    assert [planned.density for planned in found.values()] == pytest.approx(
        [1 - 0.8 * k / 3 for k in (1, 2, 3)]
    )
    assert all(planned.options.saliency == "magnitude" for planned in found.values())


def test_a_sparse_start_has_one_before_with_its_own_saliency_and_no_regrowth():
    made = options(
        schedule="constant",
        start_saliency="random",
        regrow="gradient",
        every=5,
        regrow_fraction=0.4,
        fraction_schedule="cosine",
    )
    found = planned_events(made, 10)
    assert list(found) == [0, 5, 10]
    start, middle, last = (planned.options for planned in found.values())
    assert (start.saliency, start.regrow, start.fraction) == ("random", "none", 0.0)
    assert (middle.saliency, middle.regrow, middle.fraction) == ("magnitude", "gradient", 0.2)
    assert last.fraction == 0.0
    assert [planned.density for planned in found.values()] == pytest.approx([0.2] * 3)


def test_at_start_is_a_single_event():
    found = planned_events(options(saliency="snip", schedule="at-start", regrow="none"), 10)
    assert list(found) == [0]
    assert found[0].density == pytest.approx(0.2)
    assert found[0].options.saliency == "snip"


def test_events_may_be_given_by_their_steps():
    found = planned_events(options(schedule="geometric", regrow="none"), 50, at=(20, 30))
    assert list(found) == [20, 30]
    assert [planned.density for planned in found.values()] == pytest.approx([0.2**0.5, 0.2])
    for at in ((), (0, 5), (5, 5), (7, 3)):
        with pytest.raises(ConfigError, match="rising steps of events, from 1 on"):
            planned_events(options(), 50, at=at)


def test_channels_have_one_event_at_the_end():
    found = planned_events(options(granularity="channel", regrow="none"), 7)
    assert list(found) == [7]


def test_a_second_budget_falls_as_the_first_and_the_last_shares_are_final():
    made = options(schedule="linear", every=2, budget="synops", within={"weights": 0.4})
    found = planned_events(made, 4)
    assert [planned.density for planned in found.values()] == pytest.approx([0.6, 0.2])
    assert [planned.within["weights"] for planned in found.values()] == pytest.approx([0.7, 0.4])
    assert [planned.is_final for planned in found.values()] == [False, True]


def test_a_start_sparser_than_the_end_is_refused():
    with pytest.raises(ConfigError, match="never gets denser"):
        planned_events(options(initial_density=0.1, start_saliency="random"), 10)


def test_regrowth_to_the_end_of_the_training_keeps_the_final_density():
    made = options(
        schedule="linear",
        regrow="gradient",
        every=2,
        regrow_fraction=0.5,
        fraction_schedule="cosine-to-0.005",
        regrow_until="training",
    )
    found = planned_events(made, 4, training_steps=8)
    assert list(found) == [2, 4, 6, 8]
    densities = [planned.density for planned in found.values()]
    assert densities == pytest.approx([0.6, 0.2, 0.2, 0.2])
    shares = [fraction_at(k, 4, 0.5, schedule="cosine-to-0.005") for k in (1, 2, 3, 4)]
    assert [planned.options.fraction for planned in found.values()] == pytest.approx(shares)
    assert list(planned_events(made, 4, training_steps=4)) == [2, 4]


def test_the_end_of_the_training_must_be_known_to_regrow_until_then():
    made = options(regrow="gradient", regrow_until="training")
    for steps in (None, 11):
        with pytest.raises(ConfigError, match=r"training_steps of at least total_steps \(12\)"):
            planned_events(made, 12, training_steps=steps)
    with pytest.raises(ConfigError, match="events_at gives the steps of all events"):
        planned_events(made, 12, training_steps=20, at=(3, 6))
    without = options(regrow="none", regrow_until="training")
    assert list(planned_events(without, 2)) == [1, 2]
