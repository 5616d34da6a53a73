import math

from spikeprune.lab.report.plotly_parts import (
    bars,
    change_strips,
    dots,
    finite,
    label,
    layer_axis,
    layout,
    safe,
    scatter,
    strips,
)


def test_long_names_keep_their_tail():
    assert label("features.0") == "features.0"
    assert label("module.backbone.stage3.block12.conv1").endswith("block12.conv1")
    assert len(label("x" * 100)) == 22
    assert label("a<b") == "a&lt;b"


def test_quotes_stay_and_tags_become_text():
    assert safe('"<b>" & co') == '"&lt;b&gt;" &amp; co'


def test_the_first_layer_stands_on_top():
    axis = layer_axis(["a", "b", "c"])
    assert axis["ticktext"] == ["a", "b", "c"]
    assert axis["tickvals"] == [0, 1, 2]
    assert axis["range"] == [2.5, -0.5]


def test_bars_and_dots_hold_a_value_per_row():
    trace = bars(iter([1.0, None]), "dense", "@dense", hover="%{x}", data=["a", "b"])
    assert (trace["x"], trace["y"], trace["customdata"]) == ([1.0, None], [0, 1], ["a", "b"])
    assert trace["hovertemplate"] == "%{x}<extra></extra>"
    assert "pattern" not in trace["marker"]
    assert "pattern" in bars([1.0], "", "@dense", hover="", data=["a"], hatched=True)["marker"]
    marks = dots([1.0], "dense", "@dense", "circle", hover="%{x}", names=["<a>"])
    assert (marks["type"], marks["mode"]) == ("scatter", "markers")
    assert (marks["x"], marks["y"], marks["marker"]["symbol"]) == ([1.0], [0], "circle")
    assert (marks["customdata"], marks["hovertemplate"]) == (
        ["&lt;a&gt;"],
        "%{customdata}<br>%{x}<extra></extra>",
    )


def test_a_scatter_trace_takes_more_entries():
    line = scatter("lines", [1, 2], [3, None], name="loss")
    assert line == {"type": "scatter", "mode": "lines", "x": [1, 2], "y": [3, None], "name": "loss"}


def test_losses_and_gains_have_two_colours():
    spec = change_strips(["a", "b", "c"], [-1.0, 2.0, None], hover="%{x}", data=["a", "b", "c"])
    (trace,) = spec["data"]
    assert (trace["x"], trace["y"]) == ([-1.0, 2.0, None], [0, 1, 2])
    assert trace["marker"]["color"] == ["@regrown", "@pruned", "@pruned"]
    assert spec["layout"]["xaxis"]["title"]["text"] == "points"
    assert spec["layout"]["xaxis"]["zerolinecolor"] == "@muted"


def test_strips_grow_with_their_rows():
    few, many = strips(["a"], []), strips(["a"] * 10, [], each=30, stacked=True, title="%")
    assert few["layout"]["height"] == strips(["a"] * 3, [])["layout"]["height"] == 110 + 3 * 22
    assert many["layout"]["height"] == 110 + 10 * 30
    assert (few["layout"]["barmode"], many["layout"]["barmode"]) == ("group", "stack")


def test_a_layout_is_merged_one_level_deep():
    found = layout(100, margin={"l": 50}, hovermode="x", yaxis2={"side": "right"})
    assert found["height"] == 100
    assert found["margin"] == {"l": 50, "r": 12, "t": 8, "b": 8}
    assert found["hovermode"] == "x"
    assert found["yaxis2"]["side"] == "right"
    assert found["yaxis2"]["gridcolor"] == "@grid"
    assert layout(100)["margin"]["l"] == 8  # the defaults stay


def test_numbers_that_json_cannot_hold_are_none():
    assert finite({"a": [1.5, math.nan, (math.inf, "x")], "b": 2}) == {
        "a": [1.5, None, [None, "x"]],
        "b": 2,
    }
