from dataclasses import replace

import pytest

from spikeprune.lab.report.figures.structure import criticality_figure, cut_figure, density_figure


def test_density_splits_kept_from_regrown(plain):
    kept, grown = density_figure(plain).spec["data"]
    rows = plain.events[-1]["layers"].values()
    for one, two, row in zip(kept["x"], grown["x"], rows, strict=True):
        assert one + two == pytest.approx(100 * row["live"] / row["total"])
        assert two == pytest.approx(100 * row["regrown"] / row["total"])


def test_density_comes_from_the_last_event_that_noted_layers(plain):
    layers = {
        "a": {"live": 3, "total": 4, "regrown": 1},
        "b": {"live": 1, "total": 10, "regrown": 0},
        "empty": {"live": 0, "total": 0, "regrown": 0},
    }
    figure = density_figure(replace(plain, events=({"layers": layers}, {"layers": {}})))
    kept, grown = figure.spec["data"]
    assert (kept["x"], grown["x"]) == ([50, 10], [25, 0])
    assert (
        figure.summary.replace("\u00a0", " ") == "Densest layer: a (75.0 %); sparsest: b (10.0 %)."
    )


def test_without_events_density_is_that_of_the_final_net(plain):
    figure = density_figure(replace(plain, events=()))
    assert "cannot be told apart" in figure.caption
    (trace,) = figure.spec["data"]
    assert trace["x"] == [100 * row["density"] for row in plain.pruned["layers"]]
    metrics = {**plain.metrics, "pruned": {}}
    assert "neither" in density_figure(replace(plain, events=(), metrics=metrics)).reason


def test_criticality_has_a_box_per_layer(plain):
    scores = {"a": [0.1, 0.3, 0.2], "b": [0.9, None], "none": []}
    figure = criticality_figure(replace(plain, metrics={**plain.metrics, "criticality": scores}))
    first, second = figure.spec["data"]
    assert (first["x"], first["y0"], first["boxpoints"]) == ([0.1, 0.3, 0.2], 0, "all")
    assert (second["x"], second["y0"]) == ([0.9], 1)
    assert figure.summary == "Highest median: b (0.900); lowest: a (0.200)."


def test_only_outliers_of_many_channels_are_drawn(plain):
    scores = {"a": [0.5] * 3000}
    figure = criticality_figure(replace(plain, metrics={**plain.metrics, "criticality": scores}))
    assert figure.spec["data"][0]["boxpoints"] == "outliers"


def test_a_method_without_scores_is_named(record_of):
    record = record_of(method="magnitude", regrow=False)
    assert "“magnitude” scored no channel" in criticality_figure(record).reason


def test_cut_channels_and_those_that_stay(plain):
    cut = {
        "channels_before": {"a": 16, "b": 8, "gone": 4},
        "channels_after": {"a": 10, "b": 8},
        "kept_though_inputs_dead": ["a:3"],
        "masked_vs_cut_max_abs_diff": 2.4e-7,
    }
    figure = cut_figure(replace(plain, metrics={**plain.metrics, "cut": cut}))
    kept, lost = figure.spec["data"]
    assert (kept["x"], lost["x"]) == ([10, 8], [6, 0])
    assert figure.summary.startswith("6 of 24 channels were cut.")
    assert "1 stay though all their inputs are dead" in figure.summary
    assert "2.4e-07" in figure.caption


def test_nothing_cut_is_said(plain):
    same = {"channels_before": {"a": 16}, "channels_after": {"a": 16}}
    none = cut_figure(replace(plain, metrics={**plain.metrics, "cut": same}))
    assert none.reason == "No channel was cut: the tensors keep their shapes."
    unknown = cut_figure(replace(plain, metrics={**plain.metrics, "cut": None}))
    assert "did not note channels" in unknown.reason
