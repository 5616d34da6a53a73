import dataclasses

import pytest

from spikeprune.lab.reproduce import net_measures
from spikeprune.lab.reproduce.experiment import ExperimentInputs


def test_nets_are_measured_once_and_again_when_their_run_or_the_samples_change(measured):
    inputs, calls = measured("table-structured", seeds=(0,)).inputs, []
    cell = inputs.cells[0]

    def count():
        calls.append(1)
        return {"n": len(calls)}

    def once(scale=inputs.scale):
        again = ExperimentInputs(scale, inputs.cells, inputs.measured)
        return net_measures._once(again, "kind", (cell,), count)

    assert once() == once() == {"n": 1}
    metrics = cell.folder / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    assert once() == once() == {"n": 2}

    assert once(dataclasses.replace(inputs.scale, samples=5)) == {"n": 3}
    with pytest.raises(ZeroDivisionError):  # nothing is kept of a failed measurement
        net_measures._once(inputs, "other", (cell,), lambda: 1 // 0)
    assert not list(inputs.measured.glob("*other*"))


@pytest.mark.parametrize(
    ("compared", "importance"),
    [
        ({"importance": {"only_a": 1}, "refused": []}, {"only_a": 1}),
        (
            {
                "refused": [
                    {"quantity": "importance of channels", "reason": "other nets"},
                    {"quantity": "overlap", "reason": "other masks"},
                ]
            },
            {"refused": "other nets"},
        ),
    ],
)
def test_importance_is_that_of_the_pair_or_the_reason_of_the_refusal(
    measured, monkeypatch, compared, importance
):
    inputs = measured("table-structured", seeds=(0,)).inputs
    a, b = inputs.cells[:2]
    monkeypatch.setattr(net_measures.OpenedRun, "at", lambda folder: folder)
    pairs = []

    def compare(one, other):
        pairs.append((one, other))
        return compared

    monkeypatch.setattr(net_measures, "compare_pair", compare)
    assert net_measures.importance_of(inputs, a, b) == importance
    assert net_measures.importance_of(inputs, a, b) == importance  # kept
    assert pairs == [(a.folder, b.folder)]
