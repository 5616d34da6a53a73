import io

from rich.console import Console

from spikeprune.lab.analysis.output.terminal import print_analysis


def printed(found):
    stream = io.StringIO()
    print_analysis(Console(file=stream, width=240), found)
    return stream.getvalue().replace("\xa0", " ")


def test_tables_then_sentences(found):
    text = printed(found)
    titles = (
        "entropy, dense net",
        "features",
        "where regrowth went",
        "accuracy, dense to pruned",
        "SynOps, dense to pruned",
        "not available",
    )
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "undefined" in text
    assert text.rstrip().endswith("holds 25 % of the weights.")
    assert "A and B" not in text


def test_a_pair_is_compared(found_pair):
    text = printed(found_pair)
    compared = text[text.index("A and B") :]
    for title in ("differences", "not comparable", "overlap of masks", "importance"):
        assert title in compared
    assert "only a" in compared
    assert "chance alone gives 20.0 %" in " ".join(compared.split())


def test_nothing_is_printed_of_what_was_not_measured(found, run):
    run.pop("nets")
    run.update(regrowth=None, refused=[])
    text = printed(found)
    for title in ("entropy", "features", "where regrowth went", "not available"):
        assert title not in text
