from dataclasses import replace

import pytest

from spikeprune.lab.report.terms import DEFINITIONS, citations


@pytest.mark.parametrize(
    ("method", "config", "cited"),
    [
        ("criticality", "schedule: cubic\n", "1710.01878"),
        ("criticality", "schedule: linear\nregrow: gradient\n", "1911.11134"),
        ("magnitude", "saliency: crisis\n", "2305.12148"),
        ("magnitude", "allocation: erk\n", "1911.11134"),
        ("granet", "", "2106.10404"),
        ("rigl", "", "1911.11134"),
        ("gradient-regrow", "", "1911.11134"),
        ("random-regrow", "", "1707.04780"),
        ("IMP", "", "2207.01382"),
        ("snip", "", "1810.02340"),
    ],
)
def test_citations_follow_what_was_run(plain, method, config, cited):
    record = replace(plain, metrics={**plain.metrics, "method": method}, config=config)
    addresses = [address for _, address in citations(record)]
    assert addresses[0] == "https://arxiv.org/abs/2311.16141"
    assert any(cited in address for address in addresses)
    gradual = method not in ("rigl", "IMP", "snip") and "linear" not in config
    assert ("1710.01878" in " ".join(addresses)) == gradual
    assert len(set(addresses)) == len(addresses)


def test_channel_runs_cite_slimming(record_of):
    assert any("Slimming" in text for text, _ in citations(record_of(granularity="channel")))


def test_a_method_of_another_version_has_the_common_citations(plain):
    unknown = replace(plain, metrics={**plain.metrics, "method": "of the future"})
    found = citations(unknown)
    assert found[0][1] == "https://arxiv.org/abs/2311.16141"
    assert set(found) < set(citations(plain))


def test_terms_are_defined_once():
    terms = [term for term, _ in DEFINITIONS]
    assert len(set(terms)) == len(terms)
    assert all(text.endswith(".") for _, text in DEFINITIONS)
