import pytest

from spikeprune.lab.compare import Comparison, jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.numbers.curves import AXES
from spikeprune.lab.compare.output.plotly_figures import figures


@pytest.fixture
def config(grid, finish):
    """Two sparsities, two seeds; the SynOps rise with the number of the job."""
    config = claim(grid(methods=["dense", "magnitude", "criticality"], sparsities=[0.9, 0.8]))
    for number, job in enumerate(jobs(config)):
        accuracy = 0.7 + 0.1 * job.seed - 0.2 * (job.sparsity == 0.9)
        finish(job, accuracy, dense=0.8 + 0.1 * job.seed, synops=1000 * (number + 1))
    return config


def test_figures_hold_the_curves_and_the_dense_level(config):
    found = figures(load_comparison(config.folder.path))
    keys = ["sparsity-0", "synops-0", "energy-0", "bytes-0"]
    assert [figure.key for figure in found] == keys
    spec = found[1].spec
    assert [t["name"] for t in found[0].spec["data"]] == ["magnitude", "criticality"]
    assert [t["name"] for t in spec["data"]] == ["magnitude", "criticality", "not dominated"]
    rings = spec["data"].pop()
    assert (rings["x"], rings["y"]) == ([3500, 5500], [pytest.approx(55), pytest.approx(75)])
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
    assert figures(Comparison([])) == []
