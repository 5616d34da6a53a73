import re

import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare import (
    Comparison,
    comparison_of_runs,
    jobs,
    load_comparison,
    write_results,
)
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.load_and_write import Results


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
    for link in links:
        assert (page.parent / link).is_file(), link
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


def test_runs_from_anywhere(finished, tmp_path):
    config = finished({"magnitude": [0.7, 0.8], "criticality": [0.75, 0.85]})
    folders = [job.folder.path for job in jobs(config)]
    comparison = comparison_of_runs(folders, explore=[["criticality", "magnitude"]])
    (found,) = comparison.contrasts
    assert (found.named, found.found.n) == (False, 2)
    page = write_results(comparison, tmp_path / "other")
    assert f"../study/cells/{folders[0].name}/report.html" in page.read_text()
    with pytest.raises(RunError, match="folder of a grid"):
        write_results(comparison, config.folder.path)
    with pytest.raises(ConfigError, match=r"pairs \[a, b\] of: magnitude, criticality"):
        comparison_of_runs(folders, explore=[["criticality", "dense"]])
    with pytest.raises(ConfigError, match="unknown select"):
        comparison_of_runs(folders, select="train")


def test_while_cells_come_in_the_tables_are_always_new_and_the_page_at_times(grid, finish):
    config = claim(grid(methods=["magnitude"], seeds=[0, 1, 2]))
    results, folder = Results(config), config.folder
    made = jobs(config)
    finish(made[0])
    results.update()
    first = folder.page.read_bytes()
    finish(made[1])
    results.update()  # within ten times what drawing took
    assert folder.page.read_bytes() == first
    assert folder.table("csv").read_text().count("0 1") == 1
    finish(made[2])
    results.write()
    assert folder.page.read_bytes() != first
    assert "3 runs" in folder.page.read_text()
