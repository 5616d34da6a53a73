import pytest

from spikeprune import memory
from spikeprune.errors import ConfigError
from spikeprune.memory import require_memory, total_memory


def test_a_container_may_have_less_than_the_machine(monkeypatch, tmp_path):
    machine = total_memory()
    assert machine > 10**8
    monkeypatch.setattr(memory, "_LIMIT", tmp_path / "max")
    (tmp_path / "max").write_text("1000000\n")
    assert total_memory() == 10**6
    (tmp_path / "max").write_text("max\n")
    assert total_memory() >= machine


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "total_memory", lambda: 8 * 10**9)
    require_memory(8 * 10**9, "the images", "use fewer")
    words = r"the images take at least 9\.0 GB, and this machine has 8\.0 GB of memory; use fewer"
    with pytest.raises(ConfigError, match=words):
        require_memory(9 * 10**9, "the images", "use fewer")
    monkeypatch.setattr(memory, "total_memory", lambda: None)  # nobody knows
    require_memory(10**30, "the images", "use fewer")
