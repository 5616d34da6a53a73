"""Learning-rate schedules of phases, shared and of one's own."""

import pytest

from spikeprune.lab.run.stages.phases import Phase


def test_phases_share_one_schedule_unless_they_have_their_own():
    shared = Phase("finetune", 4)
    assert shared.progress(7.5, 10, before=6) == 0.75
    own = Phase("prune", 4, skipped=1)
    assert [own.progress(e, 10, before=6) for e in (6, 8.5)] == pytest.approx([0.2, 0.7])
    assert Phase("prune", 4, skipped=0).progress(6, 10, before=6) == 0


def test_what_is_due_is_called_before_its_epoch():
    calls = []
    phase = Phase(
        *("prune", 3),
        begin=lambda: calls.append("begin"),
        keep=(1, lambda: calls.append("keep")),
    )
    for epoch in range(3):
        phase.prepare(epoch)
        calls.append(epoch)
    assert calls == ["begin", 0, "keep", 1, 2]
    Phase("prune", 1).prepare(0)
