import pytest

from spikeprune.lab.analysis.output.sentences import (
    entropy_rows,
    feature_rows,
    headline,
    regrowth_sentence,
    rho,
    titles,
)


def test_runs_are_called_by_their_folders(found, found_pair):
    assert titles(found) == ["first"]
    assert titles(found_pair) == ["A: first", "B: second"]


def test_the_share_of_the_first_half(run):
    assert regrowth_sentence(run["regrowth"]).replace("\u00a0", " ") == (
        "75 % of the regrown went to the first half of the layers (1 of 2), which holds 25 % of "
        "the weights."
    )


def test_the_headline_has_entropy_and_regrowth(found):
    entropy, regrowth = headline(found)
    assert entropy.startswith("first, dense net: over the channels of a layer")
    assert "correlation of −0.50 (1 of 2 layers) with criticality and of +0.90 with" in entropy
    assert entropy.endswith("that with criticality is undefined (0 of 2 layers).")
    assert regrowth.startswith("first: 75\u00a0%")


def test_the_headline_prefers_the_pruned_net(found, run):
    run["nets"]["pruned"] = run["nets"]["dense"]
    assert headline(found)[0].startswith("first, pruned net: ")


def test_the_headline_of_a_pair_ends_with_the_overlap(found_pair):
    sentences = headline(found_pair)
    assert len(sentences) == 2 + 1 + 1  # B regrew nothing
    assert sentences[-1].replace("\u00a0", " ") == (
        "The masks of A and B overlap by 40.0 %; chance alone gives 20.0 %."
    )
    for run in found_pair["runs"]:
        del run["nets"]
    del found_pair["pair"]["overlap"]
    assert len(headline(found_pair)) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.256, "+0.26"), (-0.5, "−0.50"), (None, "undefined")]
)
def test_correlations_have_a_sign(value, text):
    assert rho(value) == text


def test_rows_are_flat(entropy, features):
    first = entropy_rows(entropy)[0]
    assert first["bits, channel"] == 0.8
    assert first["to criticality, position"] == 0.5
    assert first["given rate, position"] is None
    assert len(first) == 3 + 2 * 4
    nets = {"untrained": {}, "dense": {"features": features}, "pruned": {"features": features}}
    rows = feature_rows(nets)
    assert [row["class"] for row in rows] == ["x", "y"]
    assert rows[1]["pruned: spread, train"] == 3
    assert rows[1]["dense: cosine"] is None
    assert len(rows[0]) == 1 + 2 * 3
