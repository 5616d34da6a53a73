import math

import pytest

from spikeprune.lab.report.number_words import (
    amount,
    budget_name,
    change,
    duration,
    energy,
    in_percent,
    is_number,
    percent,
    points,
    size,
    some,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (amount(1_234_567), "1.23 M"),
        (amount(999), "999"),
        (amount(999_999), "1.00 M"),
        (amount(0), "0"),
        (amount(0.0123), "0.0123"),
        (amount(5.5e5, "MACs"), "550 k MACs"),
        (amount(None), "not measured"),
        (amount(float("nan")), "not measured"),
        (amount(True), "not measured"),
        (energy(3961.2), "3.96 µJ"),
        (energy(12.0), "12.0 nJ"),
        (energy(2.5e6), "2.50 mJ"),
        (energy(None), "not measured"),
        (percent(0.5, 0), "50 %"),
        (percent(None), "not measured"),
        (points(0.0), "±0.00 points"),
        (points(-0.0123), "−1.23 points"),
        (points(None), "not measured"),
        (change(10, 1), "10.0× fewer"),
        (change(10, 13), "30.0 % more"),
        (change(10_000, 9_999), "under 0.1 % fewer"),
        (change(3, 3), "unchanged"),
        (change(3, 0), "all fewer"),
        (change(0, 3), "more (from none)"),
        (change(None, 3), "not measured"),
        (duration(5.12), "5.1 s"),
        (duration(151.2), "2 min 31 s"),
        (duration(11_520), "3 h 12 min"),
        (duration(None), "not measured"),
        (size(1_430_000_000), "1.33 GiB"),
        (size(100), "100 B"),
        (size(None), "not measured"),
    ],
)
def test_numbers_in_words(text, expected):
    assert text.replace("\u00a0", " ") == expected


def test_many_names_are_cut_short():
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some(["a", "b"], 1) == "a and 1 more"


def test_budgets_have_their_usual_spelling():
    names = [budget_name(name) for name in ("synops", "macs", "weights")]
    assert names == ["SynOps", "MACs", "weights"]


def test_only_finite_numbers_are_numbers():
    assert is_number(0)
    assert is_number(-1.5)
    for value in (True, None, "1", math.inf, math.nan):
        assert not is_number(value)
    assert in_percent(1 / 3) == 33.3333
    assert in_percent(None) is None
