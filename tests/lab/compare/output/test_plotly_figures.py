import xml.etree.ElementTree as ElementTree

import pytest

from spikeprune.lab.compare import Comparison, jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.numbers.curves import AXES, curves, dense_level
from spikeprune.lab.compare.output.plotly_figures import figures
from spikeprune.lab.compare.output.print_figures import write_prints


@pytest.fixture
def config(grid, finish):
    """Two sparsities, two seeds; the operations rise with the method's number."""
    config = claim(grid(methods=["dense", "magnitude", "criticality"], sparsities=[0.9, 0.8]))
    for number, job in enumerate(jobs(config)):
        accuracy = 0.7 + 0.1 * job.seed - 0.2 * (job.sparsity == 0.9)
        finish(job, accuracy, dense=0.8 + 0.1 * job.seed, synops=1000 * (number + 1))
    return config


def test_a_curve_rises_in_x_and_has_mean_and_spread(config):
    sparsity, synops = AXES
    table = load_comparison(config.folder.path).rows
    first, second = curves(table, synops, "test")
    assert (first.method, second.method) == ("magnitude", "criticality")  # no curve for dense
    assert [point.x for point in first.points] == [3500, 5500]
    assert [point.n for point in first.points] == [2, 2]
    assert first.points[0].y == pytest.approx(55)
    assert first.points[0].y_std == pytest.approx(7.0710678)
    assert first.points[0].x_std == pytest.approx(707.10678)
    reached = curves(table, sparsity, "validation")[0].points
    assert [point.x for point in reached] == [pytest.approx(90)] * 2
    assert dense_level(table, "test") == pytest.approx(85)


def test_figures_hold_the_curves_and_the_dense_level(config):
    found = figures(load_comparison(config.folder.path))
    assert [figure.key for figure in found] == ["sparsity-0", "synops-0"]
    spec = found[1].spec
    assert [trace["name"] for trace in spec["data"]] == ["magnitude", "criticality"]
    assert spec["data"][0]["error_y"]["array"] == [pytest.approx(7.0710678)] * 2
    assert len({trace["marker"]["symbol"] for trace in spec["data"]}) == 2
    assert spec["layout"]["shapes"][0]["y0"] == pytest.approx(85)
    assert "75.00 %" in found[1].summary
    assert "85.00 %" in found[1].summary


def test_each_setting_has_its_figures(finished):
    config = finished({"magnitude": [0.7, 0.8]}, settings={"<b>a": {}, "c": {}})
    found = figures(load_comparison(config.folder.path))
    assert [figure.key for figure in found] == [f"{a.key}-{n}" for n in (0, 1) for a in AXES]
    assert "<b>a" in found[0].title


def test_without_a_pruning_run_there_is_nothing_to_draw(finished):
    config = finished({"dense": [0.9]})
    found = figures(load_comparison(config.folder.path))
    assert all(figure.spec is None and "No pruning run" in figure.reason for figure in found)
    assert write_prints(load_comparison(config.folder.path), config.folder) == []
    assert figures(Comparison([])) == []


def test_prints_are_whole_vector_files_and_the_same_each_time(config):
    comparison = load_comparison(config.folder.path)
    files = write_prints(comparison, config.folder)
    assert [file.name for file in files] == [
        *("accuracy-sparsity.svg", "accuracy-sparsity.pdf"),
        *("accuracy-synops.svg", "accuracy-synops.pdf"),
    ]
    drawing = ElementTree.parse(files[2]).getroot()
    assert drawing.tag.endswith("svg")
    assert len(drawing.findall(".//*[@id='legend_1']")) == 1
    assert files[3].read_bytes().startswith(b"%PDF")
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_prints(comparison, config.folder)] == before
    assert {path.name for path in config.folder.figures.iterdir()} == {f.name for f in files}
