import dataclasses

import pytest

from spikeprune.lab.reproduce import net_measures as measured
from spikeprune.lab.reproduce.experiment import Study


def test_nets_are_measured_once_and_again_when_their_run_or_the_samples_change(study, monkeypatch):
    made, calls = study("table-structured", seeds=(0,)), []
    cell = made.study.cells[0]

    def once(scale=made.study.scale):
        again = Study(scale, made.study.cells, made.study.measured)
        return measured._once(again, "kind", (cell,), lambda: calls.append(1) or {"n": len(calls)})

    assert once() == once() == {"n": 1}
    metrics = cell.folder / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    assert once() == once() == {"n": 2}

    assert once(dataclasses.replace(made.study.scale, samples=5)) == {"n": 3}
    with pytest.raises(ZeroDivisionError):  # nothing is kept of what failed
        measured._once(made.study, "other", (cell,), lambda: 1 // 0)
    assert not list(made.study.measured.glob("*other*"))
