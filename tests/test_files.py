"""Files: written whole or not at all, JSON without NaN, rows that survive a crash."""

import json
import math
import os
import tracemalloc
from pathlib import Path

import pytest

from spikeprune import limits
from spikeprune.errors import RunError
from spikeprune.files import (
    append_row,
    keep_rows,
    read_json,
    read_rows,
    read_text,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_json_holds_no_nan_and_takes_paths_and_tuples(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": math.nan, "b": (1, math.inf), "c": Path("d"), 3: {"e": None}})
    assert read_json(path) == {"a": None, "b": [1, None], "c": "d", "3": {"e": None}}


def test_json_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(RunError, match=r"x\.json.*does not exist"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(RunError, match=r"x\.json is not valid JSON"):
        read_json(path)


def test_rows_are_appended_one_a_line(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    assert read_rows(path) == []
    rows = [{"kind": "epoch", "loss": 1.5}, {"kind": "event", "layers": {"a": [1, 2]}}]
    for row in rows:
        append_row(path, row)
    assert read_rows(path) == rows
    append_row(path, {"loss": math.nan})
    assert json.loads(path.read_text().splitlines()[-1]) == {"loss": None}


@pytest.mark.parametrize("torn", [b'{"kind": "ep', b'{"a": 2}', b"\xc3"])
def test_a_torn_last_line_was_never_written(tmp_path, torn):
    path = tmp_path / "history.jsonl"
    append_row(path, {"a": 1})
    with path.open("ab") as file:
        file.write(torn)
    assert read_rows(path) == [{"a": 1}]
    append_row(path, {"a": 3})
    assert read_rows(path) == [{"a": 1}, {"a": 3}]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(RunError, match="line 2"):
        read_rows(path)


def test_keep_rows_drops_what_a_restart_repeats(tmp_path):
    path = tmp_path / "history.jsonl"
    keep_rows(path, 3)
    assert not path.exists()
    for number in range(4):
        append_row(path, {"n": number})
    keep_rows(path, 2)
    assert read_rows(path) == [{"n": 0}, {"n": 1}]
    keep_rows(path, 5)
    assert len(read_rows(path)) == 2


def test_a_file_that_somebody_holds_is_not_exchanged(tmp_path):
    path = tmp_path / "config.yaml"
    write_text(path, "first", replace=False)
    inode = path.stat().st_ino
    write_text(path, "second", replace=False)
    assert (path.read_text(), path.stat().st_ino) == ("first", inode)
    write_text(path, "third")
    assert path.read_text() == "third"
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_a_file_of_silly_size_is_refused_unread(tmp_path):
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(limits.ROWS_BYTES + 1)  # takes no room on the disk
    tracemalloc.start()
    for read in (read_json, read_rows, read_text):
        with pytest.raises(RunError, match=r"x.json: expected at most .* bytes, got 268,435,457"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < limits.MIB
    tracemalloc.stop()


@pytest.mark.parametrize("levels", [limits.NESTING + 1, 2000, 100_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_json_that_is_nested_too_deep_is_refused(tmp_path, levels, left, right):
    path = tmp_path / "x.json"
    path.write_text(left * limits.NESTING + "1" + right * limits.NESTING)
    read_json(path)
    path.write_text(left * levels + "1" + right * levels)
    with pytest.raises(RunError, match=r"x.json is nested deeper than 64 levels"):
        read_json(path)


def test_rows_that_are_nested_too_deep_and_text_that_is_none_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(RunError, match="x is nested deeper than 64 levels"):
        read_rows(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="x is no text in UTF-8"):
        read_text(path)
