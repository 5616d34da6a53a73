import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikeprune.files import read_rows
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.progress.tracker import Tracker, mirror

STEPS = 10


def epoch(number, stage="prune", **more):
    row = {"kind": "epoch", "stage": stage, "epoch": number, "epochs": 4, "loss": 1 / number}
    return row | {"validation_accuracy": None, "seconds": 0.5} | more


def event(step):
    row = {"kind": "event", "stage": "prune", "event": 1, "events": 2, "step": step, "live": step}
    return row | {"epoch": step / STEPS, "survival": None, "layers": {"a": {"live": 3}}}


def scalars(folder):
    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


class Told(Silent):
    def __init__(self):
        self.calls = []

    def epoch(self, row):
        self.calls.append(("epoch", row["epoch"]))

    def event(self, row):
        self.calls.append(("event", row["step"]))


@pytest.fixture
def make(tmp_path):
    def tracker(display=None):
        history, board = tmp_path / "history.jsonl", tmp_path / "board"
        return Tracker(history, board, display or Silent(), steps_per_epoch=STEPS)

    return tracker


def test_rows_go_to_the_file_the_board_and_the_display(make, tmp_path):
    told = Told()
    tracker = make(told)
    rows = [event(5), epoch(1), event(15), epoch(2)]
    for row in rows:
        (tracker.event if row["kind"] == "event" else tracker.epoch)(row)
    tracker.close()
    tracker.close()
    assert read_rows(tmp_path / "history.jsonl") == rows
    assert tracker.rows == 4
    assert told.calls == [
        ("event", 5),
        ("epoch", 1),
        ("event", 15),
        ("epoch", 2),
    ]
    # Numbers only, at their optimiser step.
    assert scalars(tmp_path / "board") == {
        "loss": [(10, 1.0), (20, 0.5)],
        "seconds": [(10, 0.5), (20, 0.5)],
        "event/live": [(5, 5.0), (15, 15.0)],
    }


def test_without_a_board_none_is_written(tmp_path):
    tracker = Tracker(tmp_path / "h.jsonl", None, Silent(), steps_per_epoch=STEPS)
    tracker.epoch(epoch(1))
    tracker.close()
    assert [path.name for path in tmp_path.iterdir()] == ["h.jsonl"]


def test_what_is_run_again_stands_once_in_file_and_board(make, tmp_path):
    torn = make()
    for row in (event(5), epoch(1), event(15)):
        (torn.event if row["kind"] == "event" else torn.epoch)(row)
    torn.close()
    again = make()
    assert again.rows == 3
    again.rewind(2)
    for row in (event(15), epoch(2)):
        (again.event if row["kind"] == "event" else again.epoch)(row)
    again.close()
    assert read_rows(tmp_path / "history.jsonl") == [event(5), epoch(1), event(15), epoch(2)]
    assert scalars(tmp_path / "board")["event/live"] == [(5, 5.0), (15, 15.0)]
    assert scalars(tmp_path / "board")["loss"] == [(10, 1.0), (20, 0.5)]


def test_rows_before_a_stage(make):
    tracker = make()
    assert tracker.rows_before({"prune"}) == 0
    for row in (epoch(1), epoch(2), epoch(3, "finetune")):
        tracker.epoch(row)
    tracker.close()
    assert tracker.rows_before({"prune", "finetune"}) == 0
    assert tracker.rows_before({"finetune"}) == 2
    assert tracker.rows_before({"cut"}) == 3


def test_a_mirror_is_what_a_tracker_would_have_written(tmp_path):
    mirror([epoch(1, "dense"), epoch(2, "dense")], tmp_path / "dense", steps_per_epoch=STEPS)
    assert scalars(tmp_path / "dense")["loss"] == [(10, 1.0), (20, 0.5)]
