"""What a run folder allows: to begin, to go on, to begin again, or neither."""

from dataclasses import replace

import pytest

from spikeprune.errors import RunError
from spikeprune.files import as_line, read_json, write_json, write_text
from spikeprune.lab.run.identity import standing as module
from spikeprune.lab.run.identity.identity import Identity
from spikeprune.lab.run.identity.standing import (
    UNKNOWN,
    Record,
    notes_of,
    refuse_stale,
    settle,
    standing,
    went_on,
)
from spikeprune.lab.run_folder import RunFolder, dense_folder

ONE = Identity({"net.py": "1"}, {"rule.py": "2"}, {"net.pt": "3"}, "0.1.0+ab")
EDITED = replace(ONE, source={"net.py": "x"})
OTHER_RULE = replace(ONE, extensions={"rule.py": "x"})
NOW = {"threads": 1, "torch": "2"}
EPOCH = {"kind": "epoch", "stage": "prune", "epoch": 1}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(module, "conditions", lambda: dict(NOW))


@pytest.fixture
def folder(tmp_path):
    """The folder of a run with the identity `ONE`, in which nothing was trained."""
    made = RunFolder(tmp_path / "x")
    write_text(made.config, "")
    Record(ONE, "dense1", [NOW]).write(made)
    return made


def stands(folder, identity=ONE):
    return standing(folder, identity, name="new", old_name="old")


def record(history, row):
    history.parent.mkdir(parents=True, exist_ok=True)
    with history.open("a") as file:
        file.write(as_line(row))


def test_a_new_folder_gets_a_record(tmp_path):
    folder = RunFolder(tmp_path / "x")
    found = stands(folder)
    assert found == module.Standing(Record(ONE, "new", [NOW]))
    settle(folder, found)
    assert Record.read(folder) == found.record
    assert read_json(folder.identity)["schema"] == 1


def test_an_unchanged_run_goes_on(folder):
    record(folder.history, EPOCH)
    before = folder.identity.read_bytes()
    found = stands(folder)
    assert found == module.Standing(Record(ONE, "dense1", [NOW]))
    settle(folder, found)
    assert folder.identity.read_bytes() == before


@pytest.mark.parametrize("identity", [EDITED, OTHER_RULE, replace(ONE, weights={"net.pt": "x"})])
def test_a_change_after_an_epoch_is_refused(folder, identity):
    record(folder.history, EPOCH)
    with pytest.raises(RunError, match=r"half-finished run, and since it began .* changed; hist.*"):
        stands(folder, identity)


@pytest.mark.parametrize("identity", [EDITED, OTHER_RULE])
def test_a_change_before_any_epoch_is_taken_over(folder, identity):
    record(folder.history, EPOCH | {"kind": "event"})  # a sparse start prunes before training
    write_text(folder.checkpoints / "train.safetensors", "")
    write_text(folder.dense.metrics, "{}")
    write_text(dense_folder(folder, "dense1").metrics, "{}")  # the dense net stays for others
    found = stands(folder, identity)
    assert "changed. Nothing was trained in this folder yet" in found.messages[0]
    settle(folder, found)
    assert Record.read(folder) == Record(identity, "new", [NOW])
    assert not folder.checkpoints.exists()
    assert not folder.history.exists()
    assert folder.dense.metrics.exists() == (identity is OTHER_RULE)


@pytest.mark.parametrize("copied", [False, True])
def test_a_dense_net_that_would_be_lost_is_not(folder, copied):
    record(folder.dense.history if copied else dense_folder(folder, "dense1").history, EPOCH)
    with pytest.raises(RunError, match=r"net\.py changed"):
        stands(folder, EDITED)
    assert stands(folder, OTHER_RULE).again


def test_other_conditions_go_on_with_a_note(folder, monkeypatch):
    monkeypatch.setattr(module, "conditions", lambda: NOW | {"threads": 2})
    found = stands(folder)
    assert (found.messages, found.record.conditions) == ([], [NOW | {"threads": 2}])
    record(folder.history, EPOCH)
    found = stands(folder)
    assert found.messages == [
        "the run went on under other conditions (threads 1, then 2): the result is not bit for bit "
        "that of an uninterrupted run"
    ]
    settle(folder, found)
    assert notes_of(folder) == found.messages
    assert stands(folder).messages == []  # said once


def test_a_folder_of_0_1_0_goes_on_with_a_note(folder):
    folder.identity.unlink()
    assert stands(folder).messages == []  # nothing was done in it
    record(folder.history, EPOCH)
    found = stands(folder)
    assert found.messages == [UNKNOWN]
    assert found.record == Record(ONE, "new", [NOW], (UNKNOWN,))
    settle(folder, found)
    assert notes_of(folder) == [UNKNOWN]


def test_a_dense_net_of_0_1_0_is_taken_by_a_run_of_0_1_0_alone(folder):
    write_text(dense_folder(folder, "old").config, "")
    assert stands(folder).record.dense == "dense1"
    folder.identity.unlink()
    assert stands(folder).record.dense == "old"
    write_text(folder.dense.metrics, "{}")
    assert stands(folder).record.dense == "new"
    assert stands(RunFolder(folder.path.parent / "other")).record.dense == "new"


@pytest.mark.parametrize("content", [{}, {"schema": 2}, {"schema": 1, "source": 1}, []])
def test_a_damaged_record_says_what_to_do(folder, content):
    write_json(folder.identity, content)
    with pytest.raises(RunError, match=r"identity\.json cannot be read .*; delete it to go on"):
        stands(folder)


def test_a_finished_run_is_compared_with_what_is_still_there(folder):
    refuse_stale(folder, ONE)
    refuse_stale(folder, replace(ONE, code="0.2.0", weights={}, source={}, extensions={}))
    for identity in (EDITED, OTHER_RULE, replace(ONE, weights={"net.pt": "x"})):
        with pytest.raises(RunError, match=r"a finished run, and since then .* changed; give anot"):
            refuse_stale(folder, identity)
    folder.identity.unlink()
    refuse_stale(folder, EDITED)


def test_a_dense_net_under_other_conditions_is_noted(folder):
    assert notes_of(RunFolder(folder.path.parent / "none")) == []
    two = Record(ONE, "", [NOW | {"threads": 2}])
    went_on(None, two).write(folder.dense)
    assert notes_of(folder) == ["threads: 2 for the dense net, 1 for the pruned one"]
    assert went_on(two, two) == two
    went_on(two, Record(ONE, "", [NOW])).write(folder.dense)
    (note,) = notes_of(folder)
    assert note.startswith(
        "the training of the dense net went on under other conditions (threads 2"
    )
