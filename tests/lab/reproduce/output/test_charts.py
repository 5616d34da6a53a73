import pytest

from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series, on_page

BY_NAME = Chart(
    "by-name",
    "Title",
    "Caption.",
    "accuracy, %",
    (Series("one <b>", (90.0, None), (1.0, None)), Series("two", (80.0, 70.0))),
    names=("first", "second"),
    levels=(Level("dense", 95.0),),
)
LINES = Chart(
    "lines",
    "Title",
    "Caption.",
    "accuracy, %",
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
    assert one["marker"]["color"] != two["marker"]["color"]
    assert figure.summary == "dense 95; one <b>: first 90; two: first 80, second 70."


def test_lines_run_over_numbers():
    level, one = on_page(LINES).spec["data"]
    assert (one["x"], one["y"], one["error_y"]["array"]) == ([0.5, 4.0], [1.0, 2.0], [0.1, 0.2])
    assert one["line"]["dash"] == "dash"
    assert level["x"] == [0.5, 4.0]
    assert level["y"] == [3.0, 3.0]
    assert on_page(LINES).summary == "dense 3; one: ends at 2."


@pytest.mark.parametrize(
    ("count", "offsets"), [(1, [0.0]), (2, [-0.25, 0.25]), (3, [-0.25, 0.0, 0.25])]
)
def test_the_points_of_several_series_are_spread_over_half_a_row(count, offsets):
    one = Series("one", (1.0, 2.0))
    chart = Chart("key", "Title", "Caption.", "y", (one,) * count, names=("a", "b"))
    found = [chart.positions(number) for number in range(count)]
    assert found == [[offset, 1 + offset] for offset in offsets]


def test_a_series_of_summaries():
    found = [Summary(2, 1.0, 0.5), Summary(1, 2.0, None), Summary(0, None, None)]
    series = Series.of("name", found, (5.0, 6.0, 7.0), dashed=True)
    assert series == Series(
        "name", y=(1.0, 2.0, None), std=(0.5, None, None), x=(5.0, 6.0, 7.0), dashed=True
    )
    assert series.bars == [0.5, 0.0, 0.0]
    assert Series("without", (1.0, 2.0)).bars == [0.0, 0.0]


def test_an_empty_chart_says_that_nothing_was_measured():
    empty = Chart("key", "Title", "Caption.", "y", (Series("one", (None,)),), names=("a",))
    assert on_page(empty).spec is None
    assert on_page(empty).reason
