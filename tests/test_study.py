"""The study's page is what its raw results say."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KNOWN = {  # said on the page
    "channels": {"code"},
    "cost": {"code", "epochs", "epochs of the dense net"},
}
RESULTS = sorted((ROOT / "study" / "results").glob("*.json"))


def test_the_page_is_made_of_the_raw_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    page = importlib.import_module("study.page").page()
    assert page == (ROOT / "docs" / "study.md").read_text()


@pytest.mark.parametrize("path", [p for p in RESULTS if p.stem != "entropy"], ids=lambda p: p.stem)
def test_runs_of_a_part_differ_in_nothing_but_what_they_compare(path):
    found = json.loads(path.read_text())
    several = {name for name, values in found["facts"].items() if len(values) > 1}
    assert several <= KNOWN.get(path.stem, set())
    keys = [(row["method"], row["target_sparsity"], row["seed"]) for row in found["rows"]]
    assert len(set(keys)) == len(keys)
    assert all(0 < row["test_accuracy"] < 1 for row in found["rows"])
