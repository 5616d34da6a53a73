import pytest

from spikeprune.lab.reproduce import SCALES
from spikeprune.lab.reproduce.experiments.tables import cost_runs


def test_the_papers_known_table_stands_beside_ours(measured, texts):
    beside, table = measured("table-unstructured").result.tables
    found = texts(beside, "paper", "epochs there", "accuracy there", "here", "accuracy here")
    assert found[0] == ("Grad R", "2048", "67.47\u00a0%", "no such method here", "–")
    assert found[-1] == ("this method", "200", "73.01\u00a0%", "criticality", "81.00\u00a0%")
    assert "95\u00a0% here" in beside.caption
    assert texts(table, "method", "pruning epochs", "total epochs")[0] == ("magnitude", "4", "6")
    assert len(table.rows) == 14


def test_channel_methods_have_size_operations_and_a_chart_over_synops(measured, texts):
    result = measured("table-structured").result
    (table,) = result.tables
    assert {"non-zero parameters", "MACs (FLOPs: twice)", "SynOps"} <= set(table.columns)
    methods = [name for (name,) in texts(table, "method")]
    assert methods == [
        "slimming",
        "criticality",
        "random-regrow",
        "sca",
        "firing-rate",
        "random",
    ]
    (chart,) = result.charts
    assert chart.x == "SynOps per sample"
    assert [one.name for one in chart.series] == methods
    assert chart.series[0].y == pytest.approx((61.0,))


def test_imp_is_run_at_equal_epochs_and_at_its_own_budget():
    runs = {run.label: run for run in cost_runs(SCALES["smoke"]) if run.sparsity == 0.9}
    assert list(runs) == ["criticality", "imp", "imp, own budget"]
    own = runs["imp, own budget"].options
    assert (own["epochs.prune"], own["epochs.finetune"], own["epochs.dense"]) == (4, 0, 6)
    assert (own["imp.budget"], runs["imp"].options) == ("own", {"method": "imp", "imp.share": 0.5})


def test_cost_against_both_forms_of_imp_and_the_recomputed_headline(measured, texts):
    headline, equal, own, savings = measured("cost").result.tables
    found = texts(headline, *headline.columns)
    assert found[0][1:] == ("4220", "95.26\u00a0%", "88.15\u00a0%")
    assert found[-1] == ("NDSNN", "300", "33.33\u00a0%", "−66.67\u00a0%")
    assert {name for (name,) in texts(equal, "method")} == {"criticality", "imp"}
    assert {name for (name,) in texts(own, "method")} == {"criticality", "imp, own budget"}
    # at equal epochs 4 of 6 prune; the own budget of the fixture is four times as large
    equal_epochs, own_budget = texts(savings, *savings.columns)[:2]
    assert equal_epochs[:3] == ("imp, equal total epochs", "90\u00a0%", "33.33\u00a0%")
    assert equal_epochs[3:5] == ("0.00\u00a0%", "0.00\u00a0%")
    assert own_budget[:1] == ("imp, own budget",)
    assert own_budget[2:5] == ("83.33\u00a0%", "75.00\u00a0%", "75.00\u00a0%")
