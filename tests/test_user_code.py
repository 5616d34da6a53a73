"""Code of the user's own: found beside the user, refused in one style, and no trace on sys.path."""

import re
import sys

import pytest

from spikeprune.errors import ConfigError
from spikeprune.user_code import (
    current_folder_importable,
    import_user_modules,
    user_callable,
)


@pytest.fixture(autouse=True)
def _beside_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)


def test_a_module_in_the_current_folder_is_imported(tmp_path):
    write(tmp_path, "user_module", "value = 7\n")
    before = list(sys.path)
    import_user_modules(["user_module"])
    assert sys.modules["user_module"].value == 7
    assert sys.path == before


def test_the_current_folder_is_searched_before_others(tmp_path, monkeypatch):
    write(tmp_path / "other", "user_both", "where = 'other'\n")
    write(tmp_path, "user_both", "where = 'here'\n")
    monkeypatch.syspath_prepend(tmp_path / "other")
    import_user_modules(["user_both"])
    assert sys.modules["user_both"].where == "here"


def test_modules_on_the_import_path_are_found_too(tmp_path, monkeypatch):
    write(tmp_path / "other", "user_far", "def make():\n    return 'far'\n")
    monkeypatch.syspath_prepend(tmp_path / "other")
    assert user_callable("user_far:make", "model")() == "far"


def test_a_failed_import_leaves_the_path_as_it_was(tmp_path):
    write(tmp_path, "user_torn", "1 / 0\n")
    before = list(sys.path)
    for call in (
        lambda name: import_user_modules([name]),
        lambda name: user_callable(f"{name}:make", "data"),
    ):
        with pytest.raises(ConfigError, match="ZeroDivisionError: division by zero"):
            call("user_torn")
        assert sys.path == before


def test_what_a_module_adds_to_the_path_stays(tmp_path):
    write(tmp_path, "user_adds", f"import sys\nsys.path.insert(0, {str(tmp_path / 'lib')!r})\n")
    before = list(sys.path)
    import_user_modules(["user_adds"])
    assert sys.path == [str(tmp_path / "lib"), *before]


def test_a_module_may_take_the_folder_off_the_path_itself(tmp_path):
    write(tmp_path, "user_removes", f"import sys\nsys.path.remove({str(tmp_path)!r})\n")
    before = list(sys.path)
    import_user_modules(["user_removes"])
    assert sys.path == before


def test_an_error_inside_the_block_leaves_the_path_as_it_was(tmp_path):
    before = list(sys.path)
    with pytest.raises(KeyError, match=re.escape(str(tmp_path))), current_folder_importable():
        raise KeyError(sys.path[0])
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("user_nowhere:make", r"data 'user_nowhere:make' cannot be imported .*No module named"),
        ("json:make", r"data 'json:make' cannot be imported \(AttributeError: .*'make'"),
        ("json:make", "expected module:callable, found from the current folder or PYTHONPATH"),
        ("json:", "data 'json:' cannot be imported"),
        (":make", "data ':make' cannot be imported"),
        ("json:__name__", "data 'json:__name__' is a str, expected a callable"),
    ],
)
def test_a_callable_that_is_not_there_is_named(name, message):
    with pytest.raises(ConfigError, match=message):
        user_callable(name, "data")


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"module 'user_nowhere' .*; expected a module, found"):
        import_user_modules(["user_nowhere"])
