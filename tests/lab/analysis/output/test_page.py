import re

from spikeprune.lab.analysis.output.page import render_analysis


def test_the_page_of_one_run(found):
    text = render_analysis(found)
    assert "<h1>Analysis of first</h1>" in text
    assert '<h2 id="h-a">The run</h2>' in text
    assert text.count('class="plot"') == 7
    assert "features of the pruned net: no spikes" in text
    assert "<dd>20 train, 10 test samples</dd>" in text
    assert "<dd>test: dense 90.00\u00a0%, pruned 85.00\u00a0%</dd>" in text
    assert 'id="pair"' not in text


def test_the_page_of_a_pair(found_pair):
    text = render_analysis(found_pair)
    assert "<h1>A: first against B: second</h1>" in text
    assert '<h2 id="h-b-change">B: Effects of pruning</h2>' in text
    assert text.count('class="plot"') == 4 + 2 * 7 - 1  # B regrew nothing
    assert "something: for a reason" in text
    row = re.search(r'<th scope="row">seed</th>\s*<td>0</td>\s*<td>1</td>', text)
    assert row


def test_tables_are_left_out_where_nothing_was_measured(found, run):
    full = render_analysis(found)
    run.pop("nets")
    run["regrowth"] = None
    text = render_analysis(found)
    for caption in ("Correlations in the dense net", "cosine by class", "Regrowth by layer"):
        assert caption in full
        assert caption not in text
    assert text.count("Not measured: the nets were not run.") == 2
    assert "Run on" not in text


def test_numbers_are_short_and_sort_by_their_value(found, run):
    run["classes"][0]["change_in_points"] = -1234.5678
    text = render_analysis(found)
    assert '<td data-value="-1234.5678">−1,235</td>' in text
    assert '<td data-value="150">150</td>' in text
    assert "<td>–</td>" in text
