import xml.etree.ElementTree as tree

import pytest

from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.output.print_figures import write_chart

BY_NAME = Chart(
    "by-name",
    "Title",
    "Caption.",
    "accuracy, %",
    (Series("one <b>", (90.0, None), (1.0, None)), Series("two", (80.0, 70.0))),
    names=("first", "second $x$"),
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


def test_an_empty_chart_has_no_file(tmp_path):
    empty = Chart("key", "Title", "Caption.", "y", (Series("one", (None,)),), names=("a",))
    assert write_chart(empty, tmp_path, "") == []
    assert not list(tmp_path.iterdir())
