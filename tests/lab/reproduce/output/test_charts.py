import xml.etree.ElementTree as tree

import pytest

from spikeprune.lab.reproduce.output.charts import Chart, Level, Series, offset, on_page
from spikeprune.lab.reproduce.output.print_figures import write_chart

BY_NAME = Chart(
    *("by-name", "Title", "Caption.", "accuracy, %"),
    (Series("one <b>", (90.0, None), (1.0, None)), Series("two", (80.0, 70.0))),
    names=("first", "second $x$"),
    levels=(Level("dense", 95.0),),
)
LINES = Chart(
    *("lines", "Title", "Caption.", "accuracy, %"),
    (Series("one", (1.0, 2.0), (0.1, 0.2), (0.5, 4.0), dashed=True),),
    x="epoch",
    levels=(Level("dense", 3.0),),
)


def test_points_by_name_stand_in_rows_beside_each_other():
    figure = on_page(BY_NAME)
    level, one, two = figure.spec["data"]
    assert level["x"] == [95.0, 95.0]
    assert level["y"] == [-0.5, 1.5]
    assert one["x"] == [90.0, None]
    assert two["x"] == [80.0, 70.0]
    assert one["y"] == [-0.25, 0.75]
    assert two["y"] == [0.25, 1.25]
    assert one["error_x"]["array"] == [1.0, 0.0]
    assert one["error_x"]["visible"]
    assert not two["error_x"]["visible"]
    assert one["name"] == "one &lt;b&gt;"
    assert "dense 95" in figure.summary
    assert "first 90" in figure.summary


def test_lines_run_over_numbers():
    level, one = on_page(LINES).spec["data"]
    assert (one["x"], one["y"], one["error_y"]["array"]) == ([0.5, 4.0], [1.0, 2.0], [0.1, 0.2])
    assert one["line"]["dash"] == "dash"
    assert level["x"] == [0.5, 4.0]
    assert level["y"] == [3.0, 3.0]
    assert "ends at 2" in on_page(LINES).summary


def test_one_series_stands_in_the_middle():
    assert offset(0, 1) == 0
    assert [offset(n, 3) for n in range(3)] == [-0.25, 0, 0.25]


@pytest.mark.parametrize("chart", [BY_NAME, LINES])
def test_print_has_all_names_and_is_the_same_for_the_same_numbers(chart, tmp_path):
    files = write_chart(chart, tmp_path, "No evidence.")
    assert [path.name for path in files] == [f"{chart.key}.svg", f"{chart.key}.png"]
    before = [path.read_bytes() for path in files]
    assert before == [path.read_bytes() for path in write_chart(chart, tmp_path, "No evidence.")]
    assert before[1].startswith(b"\x89PNG")
    assert tree.fromstring(before[0]).tag.endswith("svg")
    for word in (*chart.names, *(one.name for one in chart.series), "accuracy, %", "No evidence."):
        assert word.replace("<", "&lt;").replace(">", "&gt;").encode() in before[0], word


def test_nothing_measured_is_said(tmp_path):
    empty = Chart(*("key", "Title", "Caption.", "y"), (Series("one", (None,)),), names=("a",))
    assert on_page(empty).spec is None
    assert on_page(empty).reason
    assert write_chart(empty, tmp_path, "") == []
    assert not list(tmp_path.iterdir())
