"""Limits: the last value that passes, the first that does not, and the memory that counts."""

import pytest

from spikeprune import limits
from spikeprune.errors import ConfigError, DataError


def test_the_limit_itself_is_allowed(tmp_path):
    limits.require_at_most(1000, 1000, "x", error=DataError)
    with pytest.raises(DataError, match=r"^x: expected at most 1,000 bytes, got 1,001$"):
        limits.require_at_most(1001, 1000, "x", error=DataError, unit="bytes")
    file = tmp_path / "x"
    file.write_bytes(b"12345")
    limits.require_small(file, 5, error=DataError)
    with pytest.raises(ConfigError, match=r"/x: expected at most 4 bytes, got 5$"):
        limits.require_small(file, 4, error=ConfigError)
    with pytest.raises(FileNotFoundError):
        limits.require_small(tmp_path / "y", 4, error=DataError)


def test_memory_is_that_of_the_machine_or_the_container(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_CGROUP", tmp_path / "max")
    whole = limits.memory_bytes()
    assert limits.GIB / 2 < whole < 2**50
    (tmp_path / "max").write_text("max\n")
    assert limits.memory_bytes() == whole
    (tmp_path / "max").write_text(f"{limits.GIB // 4}\n")
    assert limits.memory_bytes() == limits.GIB // 4
    limits.require_memory(limits.GIB // 4, "x", error=DataError)
    with pytest.raises(DataError, match=r"^x would take 0.5 GiB of memory, .* has 0.2 GiB$"):
        limits.require_memory(limits.GIB // 2, "x", error=DataError)
