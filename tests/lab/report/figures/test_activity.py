from dataclasses import replace

from spikeprune.lab.report.figures.activity import (
    class_changes,
    classes_figure,
    firing_figure,
    synops_figure,
)


def with_layers(record, dense, pruned):
    nets = {
        side: {**getattr(record, side), "layers": rows}
        for side, rows in (("dense", dense), ("pruned", pruned))
    }
    return replace(record, metrics={**record.metrics, **nets})


def test_firing_rates_of_both_nets_are_linked(plain):
    dense = [{"name": "a", "firing_rate": 0.2}, {"name": "b", "firing_rate": 0.1}]
    pruned = [{"name": "a", "firing_rate": 0.1}, {"name": "head", "firing_rate": None}]
    links, before, after = firing_figure(with_layers(plain, dense, pruned)).spec["data"]
    assert (before["x"], after["x"]) == ([20, 10], [10, None])
    assert (before["name"], after["name"]) == ("dense", "pruned")
    assert (links["x"], links["y"]) == ([20, 10, None], [0, 0, None])


def test_no_firing_rate_has_a_reason(plain):
    record = with_layers(plain, [{"name": "head", "firing_rate": None}], [])
    assert "no firing rate" in firing_figure(record).reason


def test_synops_name_their_kind_and_the_layers_that_rose(plain):
    dense = [{"name": "a", "synops": 100, "operand": "analog"}, {"name": "b", "synops": 10}]
    pruned = [{"name": "a", "synops": 150, "operand": "analog"}, {"name": "b", "synops": 5}]
    figure = synops_figure(with_layers(plain, dense, pruned))
    assert [trace["x"] for trace in figure.spec["data"]] == [[100, 10], [150, 5]]
    assert figure.spec["data"][0]["customdata"] == [["a", "MACs"], ["b", "ACs"]]
    assert figure.summary == "More than dense in 1 of 2 layers, most so in a (+50 a sample)."
    fell = synops_figure(with_layers(plain, pruned, dense[:1]))
    assert fell.summary == "No layer has more than in the dense net."


def test_risen_synops_of_a_run_are_named(record_of):
    figure = synops_figure(record_of(synops_factor=1.31))
    assert "in 6 of 6 layers, most so in features.0 (+279\u00a0k" in figure.summary


def test_classes_are_sorted_by_their_loss(plain):
    data = {**plain.metrics["data"], "classes": ["x", "y", "z"]}
    metrics = {
        **plain.metrics,
        "data": data,
        "dense": {"per_class_accuracy": [0.5, 0.75, None]},
        "pruned": {"per_class_accuracy": [0.75, 0.5, 0.5]},
    }
    record = replace(plain, metrics=metrics)
    assert class_changes(record) == [("y", 0.75, 0.5), ("x", 0.5, 0.75)]
    (trace,) = classes_figure(record).spec["data"]
    assert trace["x"] == [-25, 25]
    assert trace["marker"]["color"] == ["@regrown", "@pruned"]


def test_many_classes_are_shortened_to_the_extremes(record_of):
    few = classes_figure(record_of()).spec["data"][0]["x"]
    assert few == sorted(few)
    assert len(few) == 10
    many = classes_figure(record_of(classes=100))
    assert len(many.spec["data"][0]["x"]) == 25
    assert "… 76 classes …" in many.spec["layout"]["yaxis"]["ticktext"]
    assert "12 classes that lost most" in many.caption
