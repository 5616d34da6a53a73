"""Every citation is whole, and used by its key alone."""

import pytest

from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.methods import sources_of
from spikeprune.pruning.sources import SOURCES

BESIDE_METHODS = {"neurobench", "energy", "spikingjelly", "depgraph"}


HOMES = (
    "https://arxiv.org/abs/",
    "https://doi.org/",
    "https://proceedings.mlr.press/",
    "https://openreview.net/forum",
)


@pytest.mark.parametrize("key", SOURCES)
def test_a_source_has_a_short_form_a_text_and_an_address(key):
    source = SOURCES[key]
    assert source.url.startswith(HOMES)
    number = source.url.rpartition("/")[2]
    assert number in source.short or "arxiv.org" not in source.url
    assert source.text.endswith(".")
    assert len(source.text) > len(source.short)


def test_no_publication_is_cited_twice():
    assert len({source.url for source in SOURCES.values()}) == len(SOURCES)


def test_every_source_is_cited_by_a_method_or_beside_them():
    cited = {key for method in METHODS for key in sources_of(method)}
    assert cited | BESIDE_METHODS == SOURCES.keys()
    assert not cited & BESIDE_METHODS
