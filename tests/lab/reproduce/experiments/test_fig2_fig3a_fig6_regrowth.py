"""Experiments on runs whose numbers are known beforehand."""

import pytest

from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE
from spikeprune.lab.reproduce.experiments import entropy as entropies
from spikeprune.lab.reproduce.experiments import features as figures


def lines(table, *names):
    """Return columns of a table by title, a tuple per line."""
    places = [table.columns.index(name) for name in names]
    return [tuple(row[place].text for place in places) for row in table.rows]


def test_figure_2_has_means_over_seeds_and_differences_to_no_regrowth(study):
    made = study("fig2")
    first, second = made.section.charts
    assert first.names == ("criticality", "gradient-regrow", "random-regrow", "granet")
    assert first.series[0].y == pytest.approx((81.0, 76.0, 76.0, 76.0))
    assert first.series[0].std == pytest.approx((100 * 0.02 / 2**0.5,) * 4)
    assert {one.name: one.y for one in first.levels} == pytest.approx(
        {"dense net": 90.0, "no regrowth": 71.0}
    )
    assert first.title != second.title
    (table,) = made.section.tables
    found = lines(table, "method", "n", "paired difference to no regrowth, points")
    assert found[:2] == [("magnitude", "2", "–"), ("criticality", "2", "+10.00")]
    assert len(found) == 10


def test_one_seed_has_no_spread_and_no_interval(study):
    made = study("fig3a", seeds=(0,))
    (chart,) = made.section.charts
    assert chart.series[0].std == (None,) * 5
    assert chart.series[0].bars == [0.0] * 5
    (table,) = made.section.tables
    assert {text for (text,) in lines(table, "95 % interval")} == {"–"}
    assert chart.names == ("model's own", "atan", "tanh", "sigmoid", "triangle")


def test_figure_6_has_survival_by_event_and_accuracy_over_r(study):
    made = study("fig6")
    survival, share = made.section.charts
    assert share.series[0].x == (0.0, 0.05, 0.2, 0.5)
    assert share.series[0].y == pytest.approx((71.0, 76.0, 81.0, 76.0))
    assert [one.name for one in survival.series] == ["r = 0.05", "r = 0.2", "r = 0.5"]
    cell = made.study.cells[2]
    known = cell.metrics["regrowth"]["events"]
    assert survival.series[0].x == tuple(float(k + 1) for k in range(len(known) - 1))
    other = made.study.cells[3].metrics["regrowth"]["events"]
    mean = 50 * (known[1]["survival"] + other[1]["survival"])
    assert survival.series[0].y == (None, pytest.approx(mean))


def test_the_papers_known_table_stands_beside_ours(study):
    beside, table = study("table-unstructured").section.tables
    found = lines(beside, "paper", "epochs there", "accuracy there", "here", "accuracy here")
    assert found[0] == ("Grad R", "2048", "67.47\u00a0%", "no such method here", "–")
    assert found[-1] == ("this method", "200", "73.01\u00a0%", "criticality", "81.00\u00a0%")
    assert "95\u00a0% here" in beside.caption
    assert lines(table, "method", "pruning epochs", "total epochs")[0] == ("magnitude", "4", "6")
    assert len(table.rows) == 14


def test_channels_are_told_with_their_size_and_operations(study):
    made = study("table-structured")
    (table,) = made.section.tables
    assert {"non-zero parameters", "MACs (FLOPs: twice)", "SynOps"} <= set(table.columns)
    methods = [name for (name,) in lines(table, "method")]
    assert methods == [
        *("slimming", "criticality", "random-regrow", "sca", "firing-rate", "random"),
    ]
    assert len(made.section.charts[0].series) == len(methods)


def test_cost_is_told_both_ways_and_the_headline_is_recomputed(study):
    headline, equal, own, savings = study("cost").section.tables
    found = lines(headline, *headline.columns)
    assert found[0][1:] == ("4220", "95.26\u00a0%", "88.15\u00a0%")
    assert found[-1] == ("NDSNN", "300", "33.33\u00a0%", "−66.67\u00a0%")
    assert {name for (name,) in lines(equal, "method")} == {"criticality", "imp"}
    assert {name for (name,) in lines(own, "method")} == {"criticality", "imp, own budget"}
    saved = dict(zip(("equal", "own"), (lines(savings, *savings.columns[2:])), strict=False))
    assert saved["equal"][1:3] == ("0.00\u00a0%", "0.00\u00a0%")
    assert saved["own"][:3] == ("83.33\u00a0%", "75.00\u00a0%", "75.00\u00a0%")


def fake_features(_, cell):
    shift = (0.1 if cell.method == "criticality" else 0.0) + 0.01 * cell.seed
    rows = [
        {"class": name, "variance_train": 4 * (0.2 + shift), "variance_test": 4 * 0.5, "cosine": c}
        for name, c in (("cat", 0.9 + shift), ("dog", None))
    ]
    mean = {key: rows[0][key] for key in ("variance_train", "variance_test", "cosine")}
    return {"features": 4, "classes": rows, "mean": mean}


def test_figure_4_has_features_per_neuron_and_curves_by_epoch(study, monkeypatch):
    monkeypatch.setattr(figures, "features_of", fake_features)
    made = study("fig4")
    spread, cosine, first, second = made.section.charts
    assert spread.names[0] == "unstructured, train"
    baseline, method = spread.series
    assert (baseline.y[0], method.y[0]) == pytest.approx((0.205, 0.305))
    assert (baseline.y[1], method.y[1]) == pytest.approx((0.5, 0.5))
    assert cosine.series[1].y == pytest.approx((1.005, 1.005))
    assert [one.name for one in first.series] == [
        *("baseline, train", "baseline, test", "criticality, train", "criticality, test"),
    ]
    assert [one.dashed for one in second.series] == [False, True, False, True]
    train, test = first.series[:2]
    assert len(train.x) == len(train.y) == 10  # epochs of pruning and fine-tuning
    assert [a - b for a, b in zip(train.y, test.y, strict=True)] == pytest.approx([10.0] * 10)
    assert any("nothing is chosen" in note.replace("\n", " ") for note in made.section.notes)


def test_figure_5_goes_class_by_class_and_says_what_is_not_defined(study, monkeypatch):
    monkeypatch.setattr(figures, "features_of", fake_features)
    made = study("fig5")
    table = made.section.tables[0]
    assert lines(table, "class", "cosine, baseline", "cosine, criticality") == [
        ("cat", "0.9050\u00a0±\u00a00.0071", "1.0050\u00a0±\u00a00.0071"),
        ("dog", "–", "–"),
    ]
    cosine = made.section.charts[1]
    assert cosine.names == ("cat", "dog")
    assert cosine.series[0].y[1] is None
    assert made.section.numbers["features"]["structured, slimming"]["1"]["features"] == 4


def test_figure_3b_pairs_nets_of_one_seed_and_tells_a_refusal(study, monkeypatch):
    def importance(_, a, b):
        assert (a.method, b.method, a.seed) == ("criticality", "slimming", b.seed)
        if a.seed:
            return {"refused": "other nets"}
        groups = ("only_a", "only_b", "both_in_a", "both_in_b")
        return {g: {"channels": 3, "importance": 0.1 * n or None} for n, g in enumerate(groups)}

    monkeypatch.setattr(figures, "importance_of", importance)
    made = study("fig3b")
    assert lines(made.section.tables[0], "how many", "importance")[:2] == [
        *(("3.0", "–"), ("3.0", "0.100")),
    ]
    assert made.section.notes == ("Seed 1: other nets",)


def test_entropy_is_told_by_net_layer_and_rival(study, monkeypatch):
    def found(_, cell):
        one = {"criticality": 0.2 + 0.1 * cell.seed, "rate": 1.0, "criticality_given_rate": None}
        layer = {"layer": "spike1", "channels": 8, "firing_rate": 0.25, "channel": one}
        layer["position"] = one
        mean = {key: {"mean": value, "layers": 1} for key, value in one.items()}
        net = {"layers": [layer], "mean": {"channel": mean, "position": mean}}
        return dict.fromkeys(("untrained", "dense", "pruned"), net)

    monkeypatch.setattr(entropies, "entropy_of", found)
    made = study("entropy")
    overall, *layers = made.section.tables
    words = lines(overall, "net", "with criticality", "with firing rate (the rival)")
    assert words[0] == ("untrained", "0.25\u00a0±\u00a00.07", "1.00\u00a0±\u00a00.00")
    assert lines(overall, "with criticality, given the rate")[0] == ("–",)
    assert [table.caption for table in layers] == [
        *("By layer, untrained net", "By layer, dense net", "By layer, pruned net"),
    ]
    assert len(made.section.charts) == 3
    assert made.section.charts[0].series[2].y == (None,)


def test_what_is_not_known_of_the_paper_is_said():
    from spikeprune.lab.reproduce import EXPERIMENTS

    for name, experiment in EXPERIMENTS.items():
        said = " ".join(experiment.shows)
        assert NOT_AVAILABLE in said or name == "cost", name
