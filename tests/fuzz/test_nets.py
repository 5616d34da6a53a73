"""Random nets and options: every invariant of the method, from the first event to the cut net."""

import copy

import pytest
from hypothesis import given, reject
from tests.fuzz import invariants
from tests.fuzz.amount import share
from tests.fuzz.runs import CHANNELS, WEIGHTS, Case, Loop, cases, refusable

from spikeprune.errors import BudgetError, SpikePruneError


def check(case: Case):
    """Run a case and check it; one that is refused, or whose budget is too small, is rejected."""
    try:
        loop = Loop(case)
    except SpikePruneError as error:
        if not refusable(error):
            raise
        reject()
    try:
        saved = run_and_check(loop)
    except BudgetError:  # of SynOps, which are known at the event only
        assert loop.case.options.unit == "synops"
        reject()
    if saved is None:
        again = Loop(case)
        again.begin()
    else:
        again = Loop(case, seed=1).load_state(saved)
    again.run(loop.end)
    assert invariants.same(again.state(), loop.state())
    invariants.scores_agree(loop)
    invariants.masked_equals_cut(loop)


def run_and_check(loop):
    """Run to the end, check every step, and return the state from which another run resumes."""
    weights, saved = loop.case.options.granularity == "weight", None
    before, regrown = dict(loop.pruner.granularity.live), {}
    event = loop.begin()
    while True:
        if event is not None:
            invariants.event_adds_up(loop, event, before, regrown)
            if weights:
                invariants.count_is_exact(loop, event)
        invariants.nothing_dead_is_revived(loop)
        invariants.untouched_layers_are_whole(loop)
        if loop.pruner.steps == loop.case.again:
            saved = copy.deepcopy(loop.state())
        if loop.pruner.steps == loop.end:
            break
        before, regrown = dict(loop.pruner.granularity.live), dict(loop.pruner.last_regrown)
        event = loop.step()
    (invariants.limits_are_held if weights else invariants.floors_are_held)(loop)
    return saved


@pytest.mark.slow
@share(0.03)
@given(case=cases(WEIGHTS))
def test_weights(case):
    check(case)


@pytest.mark.slow
@share(0.01)
@given(case=cases(CHANNELS))
def test_channels(case):
    check(case)
