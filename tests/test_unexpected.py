import re
import sys
import tempfile

import pytest

from spikeprune.science.masks import Mask
from spikeprune.unexpected import unexpected


@pytest.fixture(autouse=True)
def _temporary(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def error_of(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("expected an error")


def test_a_bug_of_the_package_is_told_with_its_place_and_traceback(tmp_path):
    words = unexpected(error_of(lambda: Mask(3)))
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(
        r"this is a bug of spikeprune, please report it: \w+Error: .* \(masks\.py, line \d+\); the "
        f"traceback is in {file}",
        words,
    )
    assert "Traceback (most recent call last)" in file.read_text()


def test_the_user_s_own_code_is_told_from_the_package(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import json\n\n\ndef build():\n    return json.loads('{')\n")
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    words = unexpected(error_of(names["build"]))
    assert words.startswith(f"your code failed in {path}, line 5: JSONDecodeError: Expecting")


def test_without_a_place_for_the_traceback_debug_shows_it(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    words = unexpected(error_of(lambda: Mask(3)))
    assert words.endswith("; --debug shows the traceback")
    assert "no place" in unexpected(ZeroDivisionError("never raised"))


def test_endless_recursion_has_a_place_too():
    def again():
        return again()

    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(200)
        words = unexpected(error_of(again))
    finally:
        sys.setrecursionlimit(limit)
    assert "RecursionError: maximum recursion depth exceeded" in words
