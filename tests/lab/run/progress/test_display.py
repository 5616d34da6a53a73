import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from spikeprune.files import write_json
from spikeprune.lab.run.progress import display as module
from spikeprune.lab.run.progress.display import LiveDisplay, PlainDisplay, Silent, make_display
from spikeprune.lab.run_folder import RunFolder

EPOCH = {
    "kind": "epoch", "stage": "prune", "epoch": 2, "epochs": 4, "loss": 0.51234,
    "validation_accuracy": 0.8712, "density": 0.25, "lr": 0.1, "seconds": 60.0,
}  # fmt: skip
EVENT = {
    "kind": "event", "stage": "prune", "event": 3, "events": 12, "step": 40, "epoch": 1,
    "density": 0.3125, "live": 61234, "kept": 50000, "regrown": 11234,
    "dropped_and_returned": 934, "dead_and_returned": 300, "survival": None,
}  # fmt: skip


def play(display, report):
    with display:
        display.stage("dense", "2 epochs")
        for step in range(1, 4):
            display.step(step, 3, epoch=1, epochs=4, loss=0.7)
        display.event(EVENT)
        display.epoch(EPOCH)
        display.message("a note")
        display.stage("evaluate")
        display.done(report)


def live(width=120):
    stream = io.StringIO()
    return LiveDisplay(Console(file=stream, force_terminal=True, width=width)), stream


def test_plain_lines_are_whole_and_timed(tmp_path):
    stream = io.StringIO()
    play(PlainDisplay(stream), tmp_path / "report.html")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert all(line[2] == line[5] == ":" for line in lines[:5])
    assert "\x1b" not in stream.getvalue()
    epoch = next(line for line in lines if "epoch 2/4" in line)
    for words in ("loss 0.5123", "validation 87.12 %", "density 25.00 %", "1:00", "left 2:00"):
        assert words in epoch
    event = next(line for line in lines if "event 3/12" in line)
    for words in ("density 31.25 %", "live 61,234", "regrown 11,234", "dead before 300"):
        assert words in event
    assert "survival" not in event
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_plain_lines_take_rows_with_gaps():
    stream = io.StringIO()
    PlainDisplay(stream).epoch({"stage": "finetune", "epoch": 4, "epochs": 4, "loss": None})
    assert "epoch 4/4" in stream.getvalue()
    assert "left" not in stream.getvalue()


def test_live_display_shows_the_state_and_gives_the_terminal_back(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REFRESH", 0.0)
    display, stream = live()
    play(display, tmp_path / "report.html")
    text = stream.getvalue()
    for words in ("epoch 1/4  step 2/3", "time left", "loss 0.7000", "event 3/12", "a note"):
        assert words in text, words
    assert "report: " in text
    assert text.rstrip().endswith("report.html") or "\x1b[?25h" in text  # cursor shown again


def test_live_display_gives_the_terminal_back_after_an_error():
    display, stream = live()
    display.__enter__()
    display.stage("dense")
    display.__exit__(RuntimeError, RuntimeError(), None)
    assert stream.getvalue().count("\x1b[?25h") == 1


def test_live_display_draws_seldom(monkeypatch):
    monkeypatch.setattr(module, "_REFRESH", 1e9)
    display, stream = live()
    with display:
        display.stage("dense")
        size = len(stream.getvalue())
        for step in range(1, 1000):
            display.step(step, 1000, epoch=1, epochs=1, loss=1.0)
        assert len(stream.getvalue()) == size


def test_time_left_counts_from_where_the_stage_was_taken_up(monkeypatch):
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    pace = module._Pace()
    assert pace.left(500, 1000) is None
    assert pace.left(600, 1000) == pytest.approx(40.0)
    assert pace.left(700, 1000) == pytest.approx(30.0)


def test_done_shows_before_and_after(tmp_path):
    side = {"test_accuracy": 0.9, "nonzero_parameters": 1000, "synops_per_sample": 5000.0}
    metrics = {
        "schema": 1,
        "method": "criticality",
        "granularity": "weight",
        "time_steps": 4,
        "data": {"name": "digits"},
        "model": {"name": "vgg-small"},
        "dense": side,
        "pruned": side | {"test_accuracy": 0.89, "nonzero_parameters": 100},
    }
    folder = RunFolder(tmp_path)
    write_json(folder.metrics, metrics)
    stream = io.StringIO()
    PlainDisplay(stream).done(folder.report)
    text = stream.getvalue().replace("\xa0", " ")
    for words in ("dense", "pruned", "90.00 %", "89.00 %", "1.00 k", "report: "):
        assert words in text, words


def test_a_stream_that_is_no_terminal_gets_plain_lines(monkeypatch):
    assert isinstance(make_display(io.StringIO()), PlainDisplay)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(make_display(Terminal()), LiveDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(Terminal()), PlainDisplay)


def test_silence(capsys):
    play(Silent(), Path("report.html"))
    assert capsys.readouterr() == ("", "")


def test_a_dead_net_is_warned_of_at_the_end(fake_run, tmp_path):
    fake_run().write(tmp_path)
    metrics = json.loads(RunFolder(tmp_path).metrics.read_text())
    metrics["pruned"]["warnings"] = ["no neuron of a fires"]
    write_json(RunFolder(tmp_path).metrics, metrics)
    stream = io.StringIO()
    PlainDisplay(stream).done(RunFolder(tmp_path).report)
    lines = stream.getvalue().splitlines()
    assert "WARNING: the pruned net: no neuron of a fires" in lines
