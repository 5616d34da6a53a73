import pytest

from spikeprune.lab.reproduce import SCALES
from spikeprune.lab.reproduce.experiments.fig2_fig3a_fig6_regrowth import (
    fig2_runs,
    fig3a_runs,
    fig6_runs,
)


def test_every_setting_of_figure_2_has_the_baseline_and_four_criteria():
    runs = fig2_runs(SCALES["smoke"])
    methods = ("magnitude", "criticality", "gradient-regrow", "random-regrow", "granet")
    settings = [setting.name for setting in SCALES["smoke"].weights]
    assert [(run.setting.name, run.label) for run in runs] == [
        (setting, method) for setting in settings for method in methods
    ]
    assert {run.sparsity for run in runs} == {0.9}


def test_the_runs_of_figures_3a_and_6_share_the_method_at_its_defaults():
    labels = [run.label for run in fig3a_runs(SCALES["smoke"])]
    assert labels[:3] == ["magnitude", "criticality", "criticality, curve atan"]
    fractions = [run.label for run in fig6_runs(SCALES["smoke"])]
    assert fractions == [
        "magnitude",
        "criticality, regrow fraction 0.05",
        "criticality",
        "criticality, regrow fraction 0.5",
    ]


def test_figure_2_has_means_over_seeds_and_differences_to_no_regrowth(measured, texts):
    result = measured("fig2").result
    first, second = result.charts
    assert first.names == ("criticality", "gradient-regrow", "random-regrow", "granet")
    assert first.series[0].y == pytest.approx((81.0, 76.0, 76.0, 76.0))
    assert first.series[0].std == pytest.approx((100 * 0.02 / 2**0.5,) * 4)
    assert {one.name: one.y for one in first.levels} == pytest.approx(
        {"dense net": 90.0, "no regrowth": 71.0}
    )
    assert first.title != second.title
    (table,) = result.tables
    found = texts(table, "method", "n", "paired difference to no regrowth, points")
    assert found[:2] == [("magnitude", "2", "–"), ("criticality", "2", "+10.00")]
    assert len(found) == 10


def test_one_seed_has_no_spread_and_no_interval(measured, texts):
    result = measured("fig3a", seeds=(0,)).result
    (chart,) = result.charts
    assert chart.series[0].std == (None,) * 5
    assert chart.series[0].bars == [0.0] * 5
    (table,) = result.tables
    assert {text for (text,) in texts(table, "95 % interval")} == {"–"}
    assert chart.names == ("model's own", "atan", "tanh", "sigmoid", "triangle")


def test_figure_6_has_survival_by_event_and_accuracy_over_r(measured):
    made = measured("fig6")
    survival, share = made.result.charts
    assert share.series[0].x == (0.0, 0.05, 0.2, 0.5)
    assert share.series[0].y == pytest.approx((71.0, 76.0, 81.0, 76.0))
    assert [level.name for level in share.levels] == ["dense net"]
    assert [one.name for one in survival.series] == ["r = 0.05", "r = 0.2", "r = 0.5"]
    known = made.inputs.cells[2].metrics["regrowth"]["events"]
    other = made.inputs.cells[3].metrics["regrowth"]["events"]
    assert survival.series[0].x == tuple(float(k + 1) for k in range(len(known) - 1))
    mean = 50 * (known[1]["survival"] + other[1]["survival"])
    assert survival.series[0].y == (None, pytest.approx(mean))
