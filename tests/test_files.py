"""Files: written whole or not at all, read in the form that is expected, errors in our words."""

import errno
import json
import math
import os
import stat
import time
import tracemalloc
from pathlib import Path
from typing import Annotated, TypedDict

import pytest
from msgspec import Meta
from safetensors import SafetensorError

from spikeprune import limits
from spikeprune.errors import RunError
from spikeprune.files import (
    append_line,
    as_line,
    checked,
    copy_file,
    create_text,
    read_bytes,
    read_json,
    read_rows,
    read_text,
    replacing,
    sweep,
    system_errors,
    write_json,
    write_text,
)


class Form(TypedDict, total=False):
    count: int
    share: Annotated[float, Meta(ge=0, le=1)] | None


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (
            errno.ENOSPC,
            "No space left on device; free some space there, and the same command goes on",
        ),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EROFS, "Read-only file system; give a place that can be written"),
        (errno.EACCES, "give a place that you may read and write"),
        (errno.ENOENT, "put it there, or give another path"),
        (errno.EISDIR, "give a file instead"),
        (errno.EIO, "Input/output error; mend this, and the same command goes on"),
    ],
)
def test_a_failed_write_leaves_the_old_content_and_says_what_to_do(
    tmp_path, monkeypatch, number, way_out
):
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"cannot write {path}: ")
    assert way_out in str(caught.value)
    assert path.read_text() == "old"
    assert names(path.parent) == ["x.txt"]


def test_errors_of_safetensors_are_those_of_the_system():
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    with (
        pytest.raises(
            RunError, match="cannot write x: No space left on device; free some space there"
        ),
        system_errors("write", "x"),
    ):
        raise SafetensorError(said)
    with (
        pytest.raises(RunError, match="cannot read x: header too large; it is cut short"),
        system_errors("read", "x"),
    ):
        raise SafetensorError("header too large")


def test_a_file_that_the_system_names_is_the_one_in_the_message(tmp_path):
    with (
        pytest.raises(RunError, match=r"cannot read .*there: No such file"),
        system_errors("read", "x"),
    ):
        (tmp_path / "there").read_bytes()


def test_files_have_the_mode_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with replacing(tmp_path / "x") as draft:
            draft.unlink()  # as a library does that writes its own file and renames it
            draft.touch(mode=0o600)
        write_text(tmp_path / "y", "")
    finally:
        os.umask(old)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "xy"} == {0o640}


def test_drafts_of_killed_writers_are_removed(tmp_path):
    for name in (".metrics.json.4711.tmp", ".tmpVOD4p6", "mine.tmp", ".hidden"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".tmpVOD4p6", (0, time.time() - 100))
    sweep(tmp_path, older_than=50)
    assert names(tmp_path) == [".hidden", ".metrics.json.4711.tmp", "mine.tmp"]
    sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "mine.tmp"]
    sweep(tmp_path / "nowhere")


def test_a_draft_of_the_future_is_swept_too(tmp_path):
    draft = tmp_path / ".metrics.json.4711.tmp"
    draft.touch()
    later = time.time() + 1000
    os.utime(draft, (later, later))
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_somebody_holds_is_not_exchanged(tmp_path):
    path = tmp_path / "config.yaml"
    create_text(path, "first")
    inode = path.stat().st_ino
    create_text(path, "second")
    assert (path.read_text(), path.stat().st_ino) == ("first", inode)
    write_text(path, "third")
    assert path.read_text() == "third"
    assert names(tmp_path) == ["config.yaml"]


def test_a_copy_replaces_the_whole_file(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    copy_file(tmp_path / "a", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == b"content"


def test_json_holds_no_nan_and_takes_paths_and_tuples(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": math.nan, "b": (1, math.inf), "c": Path("d"), 3: {"e": None}})
    assert read_json(path) == {"a": None, "b": [1, None], "c": "d", "3": {"e": None}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged or of another kind"),
        ("", "damaged or of another kind"),
        ('{"count": NaN}', "damaged or of another kind"),
        ("[1]", "Expected `object`, got `array`"),
        ('{"count": 1.5}', r"Expected `int`, got `float` - at `\$.count`"),
        ('{"share": 1.5}', r"Expected `float` <= 1.0 - at `\$.share`"),
    ],
)
def test_json_of_another_form_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RunError, match=said) as caught:
        read_json(path, Form)
    assert str(path) in str(caught.value)


def test_json_of_the_form_keeps_further_keys(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"count": 1, "share": null, "more": [2]}')
    assert read_json(path, Form) == {"count": 1, "share": None, "more": [2]}
    assert checked({"share": 1}, Form, "x") == {"share": 1}


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(RunError, match=r"x\.json, which does not exist"):
        read_json(path)
    with pytest.raises(RunError, match="Is a directory; give a file instead"):
        read_bytes(tmp_path, limit=10**6)
    path.write_bytes(b"ab\xff")
    with pytest.raises(RunError, match="byte 2 is not UTF-8 text"):
        read_text(path)
    with pytest.raises(RunError, match=r"expected at most 2 bytes, got 3"):
        read_bytes(path, limit=2)
    assert read_bytes(path, limit=3) == b"ab\xff"


def test_rows_are_appended_one_a_line(tmp_path):
    path = tmp_path / "history.jsonl"
    assert read_rows(path) == []
    rows = [{"kind": "epoch", "loss": 1.5}, {"kind": "event", "layers": {"a": [1, 2]}}]
    for row in rows:
        append_line(path, as_line(row))
    assert read_rows(path) == rows
    append_line(path, as_line({"loss": math.nan}))
    assert json.loads(path.read_text().splitlines()[-1]) == {"loss": None}


@pytest.mark.parametrize("torn", [b'{"kind": "ep', b'{"a": 2}', b"\xc3"])
def test_a_torn_last_line_was_never_written(tmp_path, torn):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"a": 1}\n' + torn)
    assert read_rows(path) == [{"a": 1}]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(RunError, match=r"line 2 of .*history"):
        read_rows(path)
    path.write_text('{"a": 1}\n{"count": "many"}\n')
    with pytest.raises(RunError, match=r"line 2 .*Expected `int`, got `str` - at `\$.count`"):
        read_rows(path, Form)


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
    with pytest.raises(RunError, match=r"x.json is damaged or of another kind: nested deeper than"):
        read_json(path)
