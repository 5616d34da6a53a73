from spikeprune.lab.analysis.output.shapes import change_bars, ratio_bars
from spikeprune.lab.report.plotly_parts import Figure

EMPTY = Figure("key", "Title", "Caption.")


def changes(values):
    return [{"class": f"class {n}", "change_in_points": value} for n, value in enumerate(values)]


def test_the_largest_loss_comes_first():
    figure = change_bars(EMPTY, changes([1.0, None, -2.0, 0.0]))
    (trace,) = figure.spec["data"]
    assert trace["x"] == [-2, 0, 1]
    assert trace["customdata"] == ["class 2", "class 3", "class 0"]
    assert trace["marker"]["color"] == ["@regrown", "@pruned", "@pruned"]
    assert figure.summary == "1 of 3 classes lost."
    assert figure.caption == "Caption."


def test_of_many_classes_the_extremes_are_drawn():
    figure = change_bars(EMPTY, changes(range(40)))
    assert figure.spec["data"][0]["x"] == [*range(15), *range(25, 40)]
    assert "The 15 that lost most and the 15 that gained most of 40." in figure.caption


def test_ratios_are_in_per_cent():
    rows = [
        {"layer": "a", "before": 100, "after": 150, "ratio": 1.5},
        {"layer": "b", "before": 0, "after": 10, "ratio": None},
        {"layer": "c", "before": 100, "after": 25, "ratio": 0.25},
    ]
    figure = ratio_bars(EMPTY, rows)
    assert figure.spec["data"][0]["x"] == [150, 25]
    assert figure.summary == "Above 100 % in 1 of 2 layers."


def test_without_numbers_there_is_a_reason():
    assert "No accuracy per class" in change_bars(EMPTY, changes([None])).reason
    assert "No layer has operations" in ratio_bars(EMPTY, []).reason
