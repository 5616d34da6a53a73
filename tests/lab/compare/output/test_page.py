import re

from spikeprune.lab.compare import Comparison, jobs, load_comparison, write_results
from spikeprune.lab.compare.output.page import cell_line, link


def test_the_page_holds_all_and_links_to_each_report(finished):
    config = finished(
        {"dense": [0.9, 0.9], "magnitude": [0.7, 0.75], "criticality": [0.8, 0.83]},
        pairs=[["criticality", "magnitude"]],
    )
    page = write_results(load_comparison(config.folder.path), config.folder.path)
    assert page == config.folder.page
    text = page.read_text()
    links = re.findall(r'href="([^"#:]+)"', text)
    for job in jobs(config):
        assert f"cells/{job.name}/report.html" in links
    assert {"table.md", "table.csv", "table.tex", "pairs.csv", "cells.json"} <= set(links)
    assert {"figures/accuracy-synops.svg", "figures/accuracy-sparsity.pdf"} <= set(links)
    for target in links:
        assert (page.parent / target).is_file(), target
    for words in ("Paired contrasts", "named beforehand", "enough to explore, not to claim"):
        assert words in text
    for source in ("2311.16141", "1710.01878", "NeuroBench", "Student", "Holm"):
        assert source in text
    ours = text.split("<script", 1)[0]  # what follows is Plotly's
    assert not re.search(r'(?:src|href)="https?://(?!arxiv|doi)', ours)


def test_names_are_escaped(finished):
    config = finished({"magnitude": [0.7]}, settings={"<script>alert(1)</script>": {}})
    text = write_results(load_comparison(config.folder.path), config.folder.path).read_text()
    assert "<script>alert" not in text


def test_nothing_finished_is_said(tmp_path):
    page = write_results(Comparison([], missing=["a"]), tmp_path / "out")
    text = page.read_text()
    assert text.count("No cell is finished.") == 2
    assert "0 of 1 runs are finished" in text
    assert "1 not finished: a" in text


def test_the_line_of_a_run_has_its_numbers_and_a_link(finished, tmp_path):
    config = finished({"magnitude": [0.7]})
    (cell,) = load_comparison(config.folder.path).cells
    line = cell_line(cell, tmp_path)
    name = cell.folder.name
    assert (line["run"].text, line["run"].link) == (name, f"study/cells/{name}/report.html")
    assert (line["test accuracy"].text, line["test accuracy"].value) == ("70.00\u00a0%", 0.7)
    assert line["teacher"].text == "none"
    assert (line["target"].text, line["seed"].text) == ("80\u00a0%", "0")


def test_links_are_relative_and_quoted(tmp_path):
    assert link(tmp_path / "a" / "b c#.svg", tmp_path / "d") == "../a/b%20c%23.svg"
