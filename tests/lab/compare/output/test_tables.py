import json

from spikeprune.lab.compare import jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.output.tables import (
    Table,
    comparison_table,
    contrast_table,
    front_table,
)
from spikeprune.lab.report.html import TableCell


def table(columns, *rows):
    return Table("Caption", columns, tuple(tuple(map(TableCell, row)) for row in rows))


def test_a_table_is_split_by_setting_in_the_order_of_its_rows():
    both = table(("setting", "n"), ("b", "1"), ("a", "2"), ("b", "3"))
    assert list(both.by_setting()) == [
        ("b", table(("n",), ("1",), ("3",))),
        ("a", table(("n",), ("2",))),
    ]
    single = table(("n",), ("1",))
    assert list(single.by_setting()) == [("", single)]


def test_a_table_as_json():
    one = Table("Caption", ("n",), ((TableCell("1 k", 1000.0),),))
    assert json.loads(json.dumps(one.as_json())) == {
        "caption": "Caption",
        "columns": ["n"],
        "rows": [[{"text": "1 k", "value": 1000.0}]],
    }
    assert one.texts == [("1 k",)]


def test_cells_sort_by_the_mean_and_show_it_in_words(finished):
    config = finished({"dense": [0.9, 0.9], "magnitude": [0.7, 0.8]})
    found = comparison_table(load_comparison(config.folder.path))
    dense, magnitude = (dict(zip(found.columns, row, strict=True)) for row in found.rows)
    assert magnitude["test accuracy, %"] == TableCell("75.00\u00a0±\u00a07.07", 0.75)
    assert magnitude["target"] == TableCell("80\u00a0%", 0.8)
    assert dense["target"] == TableCell("–")
    assert dense["n"] == TableCell("2", 2)


def test_the_setting_is_a_column_if_there_are_several(finished):
    config = finished(
        {"magnitude": [0.7], "criticality": [0.8]},
        settings={"a": {}, "b": {}},
        pairs=[["criticality", "magnitude"]],
    )
    comparison = load_comparison(config.folder.path)
    for found in (comparison_table(comparison), contrast_table(comparison)):
        assert found.columns[0] == "setting"
        assert {row[0].text for row in found.rows} == {"a", "b"}
        assert {len(row) for row in found.rows} == {len(found.columns)}


def test_without_pairs_the_table_of_contrasts_is_empty(finished):
    comparison = load_comparison(finished({"magnitude": [0.7]}).folder.path)
    assert contrast_table(comparison).rows == ()


def test_the_rows_that_are_not_dominated_are_marked_in_their_costs(grid, finish):
    config = claim(grid(methods=["dense", "magnitude", "criticality"], seeds=[0]))
    values = {"dense": (0.9, 9e6), "magnitude": (0.7, 1e5), "criticality": (0.8, 2e5)}
    for job in jobs(config):
        accuracy, synops = values[job.method]
        finish(job, accuracy, synops=synops)
    found = front_table(load_comparison(config.folder.path))
    first, second = (dict(zip(found.columns, row, strict=True)) for row in found.rows)
    assert (first["method"].text, second["method"].text) == ("criticality", "magnitude")
    assert first["SynOps"].text == "200\u00a0k *"
    assert second["SynOps"].text == "100\u00a0k *"
    assert first["stored, fp32"].text.endswith(" *")  # as large as the other, and more accurate
    assert not second["stored, fp32"].text.endswith("*")
    assert second["SynOps"].value == 1e5


def test_without_a_pruned_row_there_is_no_front(finished):
    config = finished({"dense": [0.9]})
    assert front_table(load_comparison(config.folder.path)).rows == ()
