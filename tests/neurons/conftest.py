"""Fixtures of the tests of compiled neurons."""

import pytest

from spikeprune.neurons import compiled, kernels


@pytest.fixture
def compiler():
    reason = kernels.obstacle()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def fresh_process(monkeypatch):
    """Nothing was looked for or made yet."""
    cached = (kernels.obstacle, compiled._compiler)
    for function in cached:
        function.cache_clear()
    monkeypatch.setattr(kernels, "_kernels", {})
    yield
    for function in cached:
        function.cache_clear()
