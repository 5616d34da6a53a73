import pytest
from scipy import stats

from spikeprune.science.health import LEVEL, chance, p_of_chance, warnings_of

ALIVE = {"live": {"a": 3}, "silent": {"n": 0.5}}


def test_chance_is_the_largest_class_or_one_of_all_classes():
    assert chance([10, 10, 10, 10]) == 0.25
    assert chance([30, 10, 0, 0]) == 0.75
    assert chance([1, 0]) == 1.0


@pytest.mark.parametrize("samples", [1, 7, 360, 10_000])
@pytest.mark.parametrize("level", [0.01, 0.1, 0.5, 0.93])
def test_p_is_the_upper_tail_of_the_binomial_distribution(samples, level):
    for right in {0, 1, samples // 10, samples // 2, samples}:
        expected = stats.binom.sf(right - 1, samples, level)
        assert p_of_chance(right, samples, level) == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_a_net_that_works_has_no_warning():
    assert warnings_of(**ALIVE) == ()
    assert warnings_of(**ALIVE, right=[8, 9], asked=[10, 10]) == ()


def test_each_sign_of_a_dead_net_is_named():
    (weights,) = warnings_of(live={"a": 0, "b": 1}, silent={})
    assert weights.startswith("no live weight is left in a:")
    (mute,) = warnings_of(live={"a": 1}, silent={"n": 1.0, "m": 0.999})
    assert mute.startswith("no neuron of n fires")
    (level,) = warnings_of(**ALIVE, right=[100, 0], asked=[100, 100])
    assert "100 of 200 answers are right (50.00 %)" in level
    assert "reach 50.00 %" in level
    assert len(warnings_of(live={"a": 0}, silent={"n": 1.0}, right=[0, 1], asked=[1, 1])) == 3


def test_many_layers_are_counted():
    (weights,) = warnings_of(live={f"l{n}": 0 for n in range(9)}, silent={})
    assert "l0, l1, l2, l3, l4, l5 and 3 more" in weights


def test_a_net_with_a_constant_answer_is_always_found():
    for asked in ([3, 4, 5], [100] * 10, [999, 1], [1000] * 10):
        for answer in range(len(asked)):
            right = [count if number == answer else 0 for number, count in enumerate(asked)]
            assert warnings_of(**ALIVE, right=right, asked=asked)


def test_the_least_accuracy_that_is_above_chance():
    """Of 10,000 samples of ten classes, 10.70 % are at chance and 10.71 % are above."""
    least = int(stats.binom.isf(LEVEL, 10_000, 0.1)) + 1
    assert warnings_of(**ALIVE, right=[least - 1] + [0] * 9, asked=[1000] * 10)
    assert not warnings_of(**ALIVE, right=[least] + [0] * 9, asked=[1000] * 10)
    assert least == 1071
