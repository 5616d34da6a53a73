"""Code of the user's own: found beside the user, refused in one style, and no trace on sys.path."""

import re
import sys

import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.user_code import (
    current_folder_importable,
    import_user_modules,
    is_import_path,
    named_code,
    refuse_code,
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


def test_the_current_folder_is_searched_last(tmp_path, monkeypatch):
    write(tmp_path / "other", "user_both", "where = 'other'\n")
    write(tmp_path, "user_both", "where = 'here'\n")
    monkeypatch.syspath_prepend(tmp_path / "other")
    import_user_modules(["user_both"])
    assert sys.modules["user_both"].where == "other"


def test_a_file_here_hides_no_installed_module_and_the_message_says_so(tmp_path):
    write(tmp_path, "colorsys", "def make():\n    return 'here'\n")
    with pytest.raises(ConfigError, match=r"colorsys.py is not it: .*lib.*colorsys.py has the sa"):
        user_callable("colorsys:make", "model")


def test_a_folder_that_is_searched_already_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.path)
    with current_folder_importable():
        assert sys.path == before
    assert sys.path == before


RUN = {"model": "nets:small", "data": "sets:load", "extensions": ["mine", "yours"], "loss": "a:b"}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"model": "vgg9", "data": "digits", "extensions": [], "model_args": {"model": "a:b"}}, []),
        (
            RUN,
            ["model 'nets:small'", "data 'sets:load'", "extensions 'mine'", "extensions 'yours'"],
        ),
        ({"data": "a/b:c", "model": None, "extensions": None, "base": None, "variants": []}, []),
        ({"data": "C:\\images"}, []),
        ({"extensions": "mine"}, ["extensions 'mine'"]),
        ({"model": {"a": "b"}}, ["model \"{'a': 'b'}\""]),
        (
            {"base": {"model": "a:b"}, "models": ["vgg9", "c:d"], "data_sets": ["e:f"]},
            ["models 'c:d'", "data_sets 'e:f'", "base.model 'a:b'"],
        ),
        (
            {"variants": {"x": {"extensions": ["m"]}}, "settings": {"y": {"data": "a:b"}, "z": 1}},
            ["settings.y.data 'a:b'", "variants.x.extensions 'm'"],
        ),
    ],
)
def test_the_code_that_a_configuration_names(values, found):
    assert list(map(str, named_code(values))) == found


def test_code_in_a_file_is_refused_by_name_and_nothing_else_is(tmp_path):
    refuse_code([], tmp_path)
    words = r"x/y names code .* run: model 'a:b'\. Nothing .*, add --trust-code \(in Python trust_c"
    with pytest.raises(RunError, match=words):
        refuse_code(named_code({"model": ["a:b", "a:b"]}), "x/y")
    with pytest.raises(RunError, match=r"this, say please$"):
        refuse_code(named_code({"model": "a:b"}), "x", "say please")


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
        raise KeyError(sys.path[-1])
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


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a:b", True),
        ("a.b_1:c", True),
        ("cifar10", False),
        ("a:", False),
        (":b", False),
        ("a/b:c", False),
        ("C:\\data", False),
        ("1a:b", False),
    ],
)
def test_the_form_of_import_paths(name, is_one):
    assert is_import_path(name) is is_one
