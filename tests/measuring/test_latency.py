import pytest
import torch

from spikeprune.execution.forward import of_size
from spikeprune.measuring import latency
from spikeprune.measuring.latency import measure_latency


@pytest.fixture(autouse=True)
def _as_for_a_user(monkeypatch):
    monkeypatch.setattr(latency, "_ROUNDS", (3, 30))


def test_batches_of_any_size_repeat_samples():
    static = torch.arange(3.0).reshape(3, 1)
    assert of_size(static, 5).flatten().tolist() == [0, 1, 2, 0, 1]
    events = torch.arange(6.0).reshape(2, 3, 1)
    assert of_size(events, 4)[..., 0].tolist() == [[0, 1, 2, 0], [3, 4, 5, 3]]
    assert of_size(events, 1).shape == (2, 1, 1)


def test_median_after_warm_up(monkeypatch):
    clock = [0.0]
    sizes = []
    durations = iter([9.0, 9.0, 0.5, 0.25, 0.75] * 2)  # two runs to warm up, then three

    def run(x):
        sizes.append(len(x))
        assert not torch.is_grad_enabled()
        clock[0] += next(durations)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    measured = measure_latency({"net": run}, torch.zeros(2, 1))
    assert measured["net"] == pytest.approx({"b1": 500.0, "b32": 500.0})
    assert sizes == [1] * 5 + [32] * 5


def test_fast_runs_are_repeated_but_not_forever(monkeypatch):
    clock, calls = [0.0], []

    def run(x):
        calls.append(len(x))
        clock[0] += 1e-3

    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    measured = measure_latency({"net": run}, torch.zeros(2, 1))
    assert measured["net"] == pytest.approx({"b1": 1.0, "b32": 1.0})
    assert len(calls) == 2 * (2 + 30)


def test_runs_take_turns():
    order = []
    measure_latency(
        {"a": lambda x: order.append("a"), "b": lambda x: order.append("b")}, torch.zeros(2, 1)
    )
    assert order == ["a", "b"] * (len(order) // 2)
