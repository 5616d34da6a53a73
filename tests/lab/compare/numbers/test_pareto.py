from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.lab.compare import jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.numbers.pareto import COSTS, dominates, front, fronts, not_dominated

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)
SYNOPS = next(axis for axis in COSTS if axis.key == "synops")


def test_the_costs_are_operations_energy_and_bytes():
    assert [axis.key for axis in COSTS] == ["synops", "energy", "bytes"]


def test_by_hand():
    points = [(1, 0.5), (2, 0.7), (2, 0.6), (3, 0.7), (3, 0.8), (1, 0.5)]
    assert not_dominated(points) == [True, True, False, False, True, True]  # of a tie both stay
    assert not_dominated(points, others=[(1, 0.75)]) == [False] * 4 + [True, False]
    assert not_dominated([]) == []


@given(POINTS, POINTS)
def test_what_is_left_out_is_dominated_by_what_stays(points, others):
    kept = not_dominated(points, others)
    rivals = [*points, *others]
    best = [r for r in rivals if not any(dominates(other, r) for other in rivals)]
    for point, stays in zip(points, kept, strict=True):
        assert stays == (point in best)
        assert stays or any(dominates(one, point) for one in best)


@pytest.fixture
def comparison(grid, finish):
    """`(accuracy, SynOps)` by method; the dense nets have 0.9 at the SynOps of the made-up run."""

    def make(values, dense=0.9):
        config = claim(grid(methods=list(values), seeds=[0, 1]))
        for job in jobs(config):
            accuracy, synops = values[job.method]
            spread = 0.05 * (1 - 2 * job.seed)  # the means do not move
            finish(job, accuracy + spread, dense=dense, synops=synops * (1 + spread))
        return load_comparison(config.folder.path)

    return make


VALUES = {"dense": (0.9, 9e6), "magnitude": (0.7, 1e5), "criticality": (0.8, 2e5)}


def kept(found, axis=SYNOPS):
    return sorted(method for _, method, _ in front(found.rows, axis, "test"))


def test_rows_that_prune_compete_by_their_means(comparison):
    found = comparison(VALUES | {"random-regrow": (0.79, 3e5)})
    assert kept(found) == ["criticality", "magnitude"]
    assert fronts(found.rows, "test")["synops"] == front(found.rows, SYNOPS, "test")
    assert set(found.fronts) == {"synops", "energy", "bytes"}


def test_the_dense_net_dominates_a_row_that_costs_more(comparison):
    found = comparison(VALUES | {"magnitude": (0.85, 5e7)})
    assert kept(found) == ["criticality"]


def test_a_dead_net_takes_no_part(comparison):
    rows = comparison(VALUES).rows
    dead = replace(rows[1].cells[0], warnings=("the pruned net: silent",))
    rows[1] = replace(rows[1], cells=(dead, *rows[1].cells[1:]))
    assert {method for _, method, _ in front(rows, SYNOPS, "test")} == {"criticality"}


def test_settings_do_not_compete(comparison):
    rows = comparison(VALUES).rows
    other = [replace(row, setting="other") for row in rows[1:2]]
    assert len(front([*rows, *other], SYNOPS, "test")) == 3
