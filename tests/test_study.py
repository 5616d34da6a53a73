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


def test_ratios_of_operations_are_means_over_seeds(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    groups = importlib.import_module("study.groups")
    a = groups.Group("a", {0: {"synops": 1.0}, 1: {"synops": 30.0}})
    b = groups.Group("b", {0: {"synops": 2.0}, 1: {"synops": 10.0}})
    assert groups.Contrast(a, b).synops.startswith("1.75 ")
    layers = [
        [{"name": n, "density": 1.0, "synops": s} for n, s in zip("xy", pair, strict=True)]
        for pair in ((1.0, 1.0), (90.0, 10.0))
    ]
    each = groups.Group("g", {seed: {"layers": one} for seed, one in enumerate(layers)})
    assert groups.operations([each]).splitlines()[-1].endswith("| 70.0 | 30.0 |")


def test_the_states_of_the_code_are_those_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    states = importlib.import_module("study.states")
    of_files = {path.stem: states.states(path.stem) for path in RESULTS if path.stem != "entropy"}
    found = states.by_part()
    shown = {stem for files in found.values() for stems in files.values() for stem in stems}
    assert of_files.keys() - shown == {"fig2-synops-superseded"}
    for files in found.values():
        assert all(of_files[stem] == codes for codes, stems in files.items() for stem in stems)
    assert states.mixed() == "2, 3, 4, 6, 11 and 12"
    assert len(found["13"]) == 1
