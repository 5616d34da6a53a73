import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.lab.search.bisection import HIGHEST, LOWEST, propose


def logit(s):
    return math.log(s / (1 - s))


def path(good, first, most=40):
    tried = {}
    while len(tried) < most and (s := propose(tried, first)) is not None:
        tried[s] = good(s)
    return tried


def test_by_hand():
    assert propose({}, 0.9) == 0.9
    assert propose({0.9: True}, 0.9) == 0.9643  # odds 9 x 3 = 27
    assert propose({0.9: True, 0.9643: True}, 0.9) == 0.9959  # x 9
    assert propose({0.9: False}, 0.9) == 0.75  # odds 9 / 3 = 3
    assert propose({0.9: True, 0.9643: False}, 0.9) == pytest.approx(0.9396, abs=2e-4)
    assert propose({0.9: True, 0.902: False}, 0.9) is None


@given(st.floats(0.0, 1.0), st.floats(0.02, 0.99))
def test_it_closes_in_on_a_threshold(threshold, first):
    tried = path(lambda s: s <= threshold, first)
    assert len(tried) < 14
    assert all(LOWEST <= s <= HIGHEST and s == round(s, 4) for s in tried)
    good = [s for s, fine in tried.items() if fine]
    bad = [s for s, fine in tried.items() if not fine]
    if not good:
        assert min(bad) == LOWEST
    elif not bad:
        assert max(good) == HIGHEST
    else:
        assert max(good) <= threshold < min(bad)
        assert logit(min(bad)) - logit(max(good)) < 0.051 + 1e-4 / (min(bad) * (1 - min(bad)))


@given(st.randoms(use_true_random=False), st.floats(0.02, 0.99))
def test_noise_cannot_send_it_back_and_forth(dice, first):
    """Whatever the verdicts, what is good enough lies below what is not, and it comes to an end."""
    tried = path(lambda s: dice.random() < 0.5, first)
    assert len(tried) < 40
    good = [s for s, fine in tried.items() if fine]
    bad = [s for s, fine in tried.items() if not fine]
    assert not good or not bad or max(good) < min(bad)


def test_six_tries_are_enough_for_a_few_per_cent_of_the_density():
    for threshold in (0.3, 0.7, 0.93, 0.985):
        tried = path(lambda s, t=threshold: s <= t, 0.9, most=6)
        best = max(s for s, fine in tried.items() if fine)
        assert (1 - best) / (1 - threshold) < 1.5
