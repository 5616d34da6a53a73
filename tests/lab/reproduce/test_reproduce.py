import importlib
import json

import pytest

from spikeprune.errors import RunError
from spikeprune.lab.compare.jobs.job_outcome import Outcome
from spikeprune.lab.reproduce import Request, reproduce
from spikeprune.lab.reproduce.registry import chosen

drive = importlib.import_module("spikeprune.lab.reproduce.reproduce")  # not the function


@pytest.fixture
def asked(tmp_path, finish):
    """`asked(names, but=method)`: a request whose runs are finished, but those of a method."""

    def make(names, but=""):
        request = Request(names=names, out=str(tmp_path / "out"), seeds=(0, 1))
        request.folder.cells.mkdir(parents=True)
        for job in drive.jobs(chosen(names), request):
            if job.method != but:
                finish(job)
        return request

    return make


def test_a_failed_run_is_named_and_experiments_without_it_are_made(asked, monkeypatch):
    request = asked(("fig2", "fig6"), but="granet")
    monkeypatch.setattr(drive, "refuse_impossible", lambda waiting: None)

    def fail(waiting, config, display):
        yield from (Outcome(job, "out of memory") for job in waiting)

    monkeypatch.setattr(drive, "run_jobs", fail)
    with pytest.raises(RunError, match=r"^4 of 24 runs failed \(.*granet.*out of memory"):
        reproduce(request)
    text = request.folder.page.read_text().split('<script type="application/json"', 1)[0]
    assert "Runs without a result: digits-vgg-small_granet_0.9_seed0" in text
    assert "Accuracy over the share of regrowth" in text
    assert request.folder.of("fig6", "json").is_file()
    assert not request.folder.of("fig2", "json").is_file()


def test_finished_runs_are_taken_as_they_are(asked, monkeypatch):
    request = asked(("fig2", "cost"))
    monkeypatch.setattr(drive, "run_jobs", None)  # it would be called for a run to make
    page, done = reproduce(request)
    assert page == request.folder.page
    assert [one.experiment.name for one in done] == ["fig2", "cost"]
    names = {path.name for path in done[0].files}
    assert names == {"fig2-1.svg", "fig2-1.png", "fig2-2.svg", "fig2-2.png"}
    values = json.loads(request.folder.of("cost", "json").read_text())
    assert values["seeds"] == [0, 1]
    assert "--seeds '[0, 1]'" in values["command"]
    assert len(values["cells"]) == 12


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(RunError, match="--out"):
            reproduce(Request(names=("entropy",), out=str(out)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
