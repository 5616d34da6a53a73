import pytest

pytest.importorskip("numba", reason="numba is not installed")

from spikeprune.inference import event_kernels
from spikeprune.inference.event_layers import warm_up


def test_compiled_code_is_kept_where_a_folder_can_be_written(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options)
        return lambda function: function

    monkeypatch.setattr(event_kernels.nb, "njit", njit)
    assert event_kernels._jit(fastmath={"contract"})(abs) is abs
    (options,) = asked
    assert options["cache"]
    assert options["nogil"]
    assert options["fastmath"] == {"contract"}


def test_without_such_a_folder_it_is_compiled_all_the_same(monkeypatch):
    def njit(**options):
        def decorate(function):
            if options.get("cache"):
                raise RuntimeError("cannot cache function: no locator available")
            return function

        return decorate

    monkeypatch.setattr(event_kernels.nb, "njit", njit)
    assert event_kernels._jit()(abs) is abs


def test_the_time_to_get_ready_is_logged_once(caplog):
    warm_up.cache_clear()
    with caplog.at_level("INFO", logger="spikeprune"):
        warm_up()
        warm_up()
    (record,) = caplog.records
    assert "ready after" in record.getMessage()
