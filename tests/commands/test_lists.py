"""`spikeprune data`, `methods` and `recipes`."""

import pytest

from spikeprune import data
from spikeprune.cli import main
from spikeprune.commands import lists as command
from spikeprune.lab.settings.recipes import recipe_names
from spikeprune.pruning.method_rows import METHODS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("methods", [method.name for method in METHODS]),
        ("recipes", recipe_names()),
        ("data", data.NAMES),
    ],
)
def test_every_name_is_listed(name, words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([name]) == 0
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []


def test_data_are_searched_below_the_root(record):
    printed = record(command, "print_data")
    assert main(["data", "--data_root", "here"]) == 0
    assert main(["data"]) == 0
    assert [list(call.values())[1] for call in printed] == ["here", None]
