import pytest

from spikeprune.lab.reproduce.experiments import fig3b_fig4_fig5_features as features


def fake_features(_, cell):
    """Features of four neurons: only the variance of the training set depends on the run."""
    shift = (0.1 if cell.method == "criticality" else 0.0) + 0.01 * cell.seed
    rows = [
        {"class": name, "variance_train": 4 * (0.2 + shift), "variance_test": 4 * 0.5, "cosine": c}
        for name, c in (("cat", 0.9 + shift), ("dog", None))
    ]
    mean = {key: rows[0][key] for key in ("variance_train", "variance_test", "cosine")}
    return {"features": 4, "classes": rows, "mean": mean}


@pytest.fixture
def faked(monkeypatch, measured):
    """`faked(name)`: an experiment whose nets have the features above."""
    monkeypatch.setattr(features, "features_of", fake_features)
    return measured


def test_figure_4_has_features_per_neuron_and_curves_by_epoch(faked):
    result = faked("fig4").result
    spread, cosine, first, second = result.charts
    assert spread.names == (
        "unstructured, train",
        "unstructured, test",
        "structured, train",
        "structured, test",
    )
    baseline, method = spread.series
    assert (baseline.y[0], method.y[0]) == pytest.approx((0.205, 0.305))
    assert (baseline.y[1], method.y[1]) == pytest.approx((0.5, 0.5))
    assert (spread.value, cosine.value) == ("variance per neuron", "cosine")
    assert cosine.series[1].y == pytest.approx((1.005, 1.005))
    assert [one.name for one in first.series] == [
        "baseline, train",
        "baseline, test",
        "criticality, train",
        "criticality, test",
    ]
    assert [one.dashed for one in second.series] == [False, True, False, True]
    train, test = first.series[:2]
    assert len(train.x) == len(train.y) == 10  # epochs of pruning and fine-tuning
    assert [a - b for a, b in zip(train.y, test.y, strict=True)] == pytest.approx([10.0] * 10)
    assert any("nothing is chosen" in note.replace("\n", " ") for note in result.notes)


def test_figure_5_goes_class_by_class_and_shows_a_dash_for_what_is_undefined(faked, texts):
    result = faked("fig5").result
    table = result.tables[0]
    assert texts(table, "class", "cosine, baseline", "cosine, criticality") == [
        ("cat", "0.9050\u00a0±\u00a00.0071", "1.0050\u00a0±\u00a00.0071"),
        ("dog", "–", "–"),
    ]
    assert texts(table, "variance, training, baseline") == [("0.2050\u00a0±\u00a00.0071",)] * 2
    cosine = result.charts[1]
    assert cosine.names == ("cat", "dog")
    assert cosine.series[0].y[1] is None
    assert result.numbers["features"]["structured, slimming"]["1"]["features"] == 4


def test_a_chart_of_many_classes_shows_the_first_ones_and_says_so(faked, monkeypatch):
    monkeypatch.setattr(features, "MANY_CLASSES", 1)
    result = faked("fig5").result
    assert [chart.names for chart in result.charts] == [("cat",)] * 4
    assert all("The first 1 of 2 classes" in chart.caption for chart in result.charts)
    assert len(result.tables[0].rows) == 2


def test_figure_3b_pairs_nets_of_one_seed_and_notes_a_refusal(measured, texts, monkeypatch):
    def importance(_, a, b):
        assert (a.method, b.method, a.seed) == ("criticality", "slimming", b.seed)
        if a.seed:
            return {"refused": "other nets"}
        groups = ("only_a", "only_b", "both_in_a", "both_in_b")
        return {g: {"channels": 3, "importance": 0.1 * n or None} for n, g in enumerate(groups)}

    monkeypatch.setattr(features, "importance_of", importance)
    result = measured("fig3b").result
    assert texts(result.tables[0], "how many", "importance") == [
        ("3.0", "–"),
        ("3.0", "0.100"),
        ("3.0", "0.200"),
        ("3.0", "0.300"),
    ]
    assert result.charts[0].series[0].y == (None, *map(pytest.approx, (0.1, 0.2, 0.3)))
    assert result.notes == ("Seed 1: other nets",)
    assert result.numbers["by_seed"][1] == {"refused": "other nets"}
