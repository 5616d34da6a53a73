import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikeprune.errors import RunError
from spikeprune.files import read_rows
from spikeprune.lab.run.locks import held
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
    assert len(tracker.history().splitlines()) == 4
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


def record(tracker, *rows):
    for row in rows:
        (tracker.event if row["kind"] == "event" else tracker.epoch)(row)
    tracker.close()


def test_what_is_run_again_stands_once_in_file_and_board(make, tmp_path):
    torn = make()
    record(torn, event(5), epoch(1))
    saved = torn.history()
    record(torn, event(15))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"kind": "ev')
    again = make()
    again.restore(saved, last=True)
    record(again, event(15), epoch(2))
    assert read_rows(tmp_path / "history.jsonl") == [event(5), epoch(1), event(15), epoch(2)]
    assert scalars(tmp_path / "board")["event/live"] == [(5, 5.0), (15, 15.0)]
    assert scalars(tmp_path / "board")["loss"] == [(10, 1.0), (20, 0.5)]


@pytest.mark.parametrize("damage", ["", "nonsense\n", None])
def test_a_lost_or_damaged_history_comes_back_from_the_checkpoint(make, tmp_path, damage):
    first, path = make(), tmp_path / "history.jsonl"
    record(first, epoch(1), epoch(2))
    saved = first.history()
    path.unlink() if damage is None else path.write_text(damage)
    again = make()
    again.restore(saved, last=False)
    assert read_rows(path) == [epoch(1), epoch(2)]


def test_rows_of_later_stages_stay_behind_a_finished_one(make, tmp_path):
    first = make()
    record(first, epoch(1))
    saved = first.history()
    record(first, epoch(2, "finetune"))
    again = make()
    again.restore(saved, last=False)
    assert read_rows(tmp_path / "history.jsonl") == [epoch(1), epoch(2, "finetune")]


def test_a_checkpoint_of_version_0_1_has_the_number_of_rows(make, tmp_path):
    record(make(), epoch(1), epoch(2))
    make().keep(1)
    assert read_rows(tmp_path / "history.jsonl") == [epoch(1)]


@pytest.mark.parametrize(("stages", "left"), [("prune finetune", 0), ("finetune", 2), ("cut", 3)])
def test_a_stage_that_starts_again_drops_its_rows(make, tmp_path, stages, left):
    record(make(), epoch(1), epoch(2), epoch(3, "finetune"))
    make().forget(set(stages.split()))
    assert len(read_rows(tmp_path / "history.jsonl")) == left


def test_without_room_the_board_is_left_out(make, tmp_path, monkeypatch):
    told = Told()
    told.messages = []
    told.message = told.messages.append
    tracker = make(told)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spikeprune.lab.run.progress.tracker._new_writer", full)
    record(tracker, epoch(1), epoch(2))
    assert read_rows(tmp_path / "history.jsonl") == [epoch(1), epoch(2)]
    assert told.messages == [
        "TensorBoard's files cannot be written (No space left on device); left out"
    ]


def test_a_folder_that_was_replaced_is_not_written_to(tmp_path):
    lock = tmp_path / "run" / "config.yaml"
    lock.parent.mkdir()
    lock.touch()
    with held(lock, lambda: None) as claim:
        tracker = Tracker(
            lock.with_name("h.jsonl"), None, Silent(), steps_per_epoch=STEPS, claim=claim
        )
        tracker.epoch(epoch(1))
        lock.parent.rename(tmp_path / "away")
        with pytest.raises(RunError, match="run was removed or replaced while the run was at work"):
            tracker.epoch(epoch(2))
        lock.parent.mkdir()
        lock.touch()
        with pytest.raises(RunError, match="removed or replaced"):
            tracker.epoch(epoch(2))
    assert [path.name for path in lock.parent.iterdir()] == ["config.yaml"]


def test_a_mirror_is_what_a_tracker_would_have_written(tmp_path):
    mirror([epoch(1, "dense"), epoch(2, "dense")], tmp_path / "dense", steps_per_epoch=STEPS)
    assert scalars(tmp_path / "dense")["loss"] == [(10, 1.0), (20, 0.5)]
