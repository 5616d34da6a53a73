import pytest

from spikeprune.lab.compare import jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.numbers.curves import AXES, curves, dense_level, marked


@pytest.fixture
def table(grid, finish):
    """Two sparsities, two seeds; the SynOps rise with the number of the job."""
    config = claim(grid(methods=["dense", "magnitude", "criticality"], sparsities=[0.9, 0.8]))
    for number, job in enumerate(jobs(config)):
        accuracy = 0.7 + 0.1 * job.seed - 0.2 * (job.sparsity == 0.9)
        finish(job, accuracy, dense=0.8 + 0.1 * job.seed, synops=1000 * (number + 1))
    return load_comparison(config.folder.path).rows


def test_a_curve_rises_in_x_and_has_mean_and_spread(table):
    synops = AXES[1]
    first, second = curves(table, synops, "test")
    assert (first.method, second.method) == ("magnitude", "criticality")  # no curve for dense
    assert [point.x for point in first.points] == [3500, 5500]
    assert [point.n for point in first.points] == [2, 2]
    assert first.points[0].y == pytest.approx(55)
    assert first.points[0].y_std == pytest.approx(7.0710678)
    assert first.points[0].x_std == pytest.approx(707.10678)


def test_sparsity_and_accuracy_are_in_per_cent(table):
    sparsity = AXES[0]
    points = curves(table, sparsity, "validation")[0].points
    assert [point.x for point in points] == [pytest.approx(90)] * 2
    assert sorted(point.y for point in points) == pytest.approx([27.5, 37.5])


def test_the_level_of_the_dense_nets_counts_each_seed_once(table):
    assert dense_level(table, "test") == pytest.approx(85)
    assert dense_level(table[:1], "validation") == pytest.approx(42.5)
    assert dense_level([], "test") is None


def test_rows_without_the_value_have_no_point(grid, finish):
    config = claim(grid(methods=["magnitude"], sparsities=[0.9, 0.8], seeds=[0]))
    for job in jobs(config):
        finish(job, None if job.sparsity == 0.8 else 0.5)
    (curve,) = curves(load_comparison(config.folder.path).rows, AXES[0], "test")
    assert [(point.y, point.y_std, point.n) for point in curve.points] == [(50.0, 0.0, 1)]


def test_points_are_marked_by_their_rows(table):
    found = curves(table, AXES[1], "test")
    keys = {point.key for curve in found for point in curve.points if point.x in (3500, 9500)}
    assert [(name, p.x) for name, p in marked(found, keys)] == [
        ("magnitude", 3500),
        ("criticality", 9500),
    ]
    assert marked(found, ()) == []
