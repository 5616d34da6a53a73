"""What earlier versions wrote is read by this one: their folders are kept in `tests/releases/`.

A released folder never changes. Where a test fails here, the code must learn to read it, or must
refuse it in a sentence that says what to do; then the expectation is changed, and the changelog.
"""

import csv
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tests.releases.make import HALF, RELEASES, RUNS, command, logits

from spikeprune import load
from spikeprune.cli import main
from spikeprune.files import read_json, read_rows
from spikeprune.lab.report.number_words import amount, percent
from spikeprune.toolbox import load_masks

VERSIONS = sorted(path.name for path in RELEASES.iterdir() if (path / "logits.json").is_file())
FINISHED = [name for name in RUNS if name != HALF]
COUNTED = ("parameters", "nonzero_parameters", "density", "dense_macs_per_sample")
MEASURED = (
    *("test_accuracy", "validation_accuracy", "synops_per_sample", "firing_rate"),
    *("effective_macs_per_sample", "effective_acs_per_sample", "energy_nj_per_sample"),
)
SHIFT = 0.005
"""One potential that another processor rounds over its threshold moves a measurement this much."""


@pytest.fixture(scope="module", params=VERSIONS)
def release(request, tmp_path_factory):
    """The folder of a release, and a copy of it to work in."""
    copy = tmp_path_factory.mktemp("release") / request.param
    return shutil.copytree(RELEASES / request.param, copy)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def said(arguments, capsys):
    """Run a command that must succeed and return what it prints."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 0, out + err
    return out


@pytest.mark.parametrize("name", FINISHED)
def test_the_net_of_a_run_answers_as_it_did(release, name):
    recorded = torch.tensor(read_json(release / "logits.json")[name])
    torch.testing.assert_close(torch.tensor(logits(release / name)), recorded)


@pytest.mark.parametrize("name", FINISHED)
def test_masks_are_those_of_the_weights(release, name):
    metrics, masks = read_json(release / name / "metrics.json"), load_masks(release / name)
    dense = load_file(release / name / "dense" / "model.safetensors")
    assert {n: mask.shape for n, mask in masks.items()} == {n: dense[n].shape for n in masks}
    if metrics["granularity"] == "weight":
        live = sum(int(mask.sum()) for mask in masks.values())
        of = sum(mask.numel() for mask in masks.values())
        assert live / of == pytest.approx(metrics["pruned"]["density"], abs=1 / of)
    else:
        before, after = (metrics["cut"][f"channels_{when}"] for when in ("before", "after"))
        assert {n: int(masks[f"{n}.weight"].flatten(1).any(1).sum()) for n in before} == after


@pytest.mark.parametrize("name", FINISHED)
def test_evaluate_finds_the_numbers_of_the_run(release, name, capsys):
    found = json.loads(said(["evaluate", release / name, "--json"], capsys))
    recorded = read_json(release / name / "metrics.json")
    for net in ("dense", "pruned"):
        for key in COUNTED:
            assert found[net][key] == recorded[net][key], (net, key)
        for key in MEASURED:
            expected = pytest.approx(recorded[net][key], rel=SHIFT, abs=SHIFT)
            assert found[net][key] == expected, (net, key)


@pytest.mark.parametrize("name", FINISHED)
def test_the_report_has_the_numbers_of_the_run(release, name, capsys):
    said(["report", release / name], capsys)
    page = (release / name / "report.html").read_text(encoding="utf-8")
    metrics = read_json(release / name / "metrics.json")
    for net in ("dense", "pruned"):
        for key in ("parameters", "nonzero_parameters", "synops_per_sample"):
            assert amount(metrics[net][key]) in page, (net, key)
        assert percent(metrics[net]["test_accuracy"]) in page


def test_analyze_opens_every_run_and_a_pair(release, capsys):
    for names in (["weights"], ["channels"], ["weights", "dense"]):
        folders = [release / name for name in names]
        options = ["--samples", 64, "--json", "--out", release / "analysis"]
        found = json.loads(said(["analyze", *folders, *options], capsys))
        for run, folder in zip(found["runs"], folders, strict=True):
            recorded = read_json(folder / "metrics.json")
            accuracies = {net: recorded[net]["test_accuracy"] for net in ("dense", "pruned")}
            assert run["test_accuracy"] == accuracies


def test_a_comparison_is_written_again_with_its_numbers(release, capsys):
    folder = release / "comparison"
    kept = folder / "table.csv"
    recorded = list(csv.DictReader(kept.read_text(encoding="utf-8").splitlines()))
    said(["compare", folder], capsys)
    found = list(csv.DictReader(kept.read_text(encoding="utf-8").splitlines()))
    assert [{key: row[key] for key in recorded[0]} for row in found] == recorded
    assert (folder / "compare.html").is_file()


def test_runs_are_compared(release, capsys):
    folders = [release / name for name in ("weights", "channels")]
    said(["compare", *folders, "--out", release / "compared"], capsys)
    rows = list(csv.DictReader((release / "compared" / "table.csv").read_text().splitlines()))
    assert len(rows) == 2


def test_a_half_finished_run_goes_on_from_its_checkpoint(release, capsys, monkeypatch):
    folder = release / HALF
    before = read_rows(folder / "history.jsonl")
    whole = next(n for n, row in enumerate(before) if row["kind"] == "epoch") + 1
    monkeypatch.chdir(release)
    said(command(HALF), capsys)
    after = read_rows(folder / "history.jsonl")
    assert before[:whole] == after[:whole]  # with the seconds that they took then
    assert [row["epoch"] for row in after if row["kind"] == "epoch"] == [1, 2, 3, 4]
    pruned = read_json(folder / "metrics.json")["pruned"]
    assert pruned["density"] == pytest.approx(0.2, abs=0.01)
    assert load(folder)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
