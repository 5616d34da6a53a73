"""The steps that several commands share."""

import json
from pathlib import Path

import pytest
from jsonargparse import SUPPRESS

from spikeprune.commands.base import (
    configuration,
    flag,
    interruptible,
    require_data_and_model,
    run_values,
    show,
)
from spikeprune.errors import ConfigError


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: digits\nmodel: vgg-small\nsparsity: 0.8\nepochs: {prune: 5}\n")
    return str(path)


def test_a_flag_without_a_default_is_absent_unless_given():
    argument = flag("seeds", int, "N", "how many")
    assert argument.name == "--seeds"
    assert argument.options == {
        "type": int,
        "default": SUPPRESS,
        "metavar": "N",
        "help": "how many",
    }
    assert flag("out", str, "PATH", "where", default=None).options["default"] is None


def test_flags_win_over_the_recipe_and_other_options_are_left_out(recipe):
    options = {"recipe": recipe, "sparsity": 0.5, "epochs": {"finetune": 2}, "json": True}
    assert run_values(options) == {
        "data": "digits",
        "model": "vgg-small",
        "sparsity": 0.5,
        "epochs": {"prune": 5, "finetune": 2},
    }


def test_without_a_recipe_flags_are_all():
    assert run_values({"data": "digits", "folder": "x"}) == {"data": "digits"}
    with pytest.raises(ConfigError, match="unknown recipe 'nope'"):
        run_values({"recipe": "nope"})


@pytest.mark.parametrize("name", ["data", "model"])
def test_data_and_model_must_be_named(name):
    whole = {"data": "digits", "model": "vgg9"}
    require_data_and_model(whole)
    for values in ({**whole, name: None}, {k: v for k, v in whole.items() if k != name}):
        with pytest.raises(ConfigError, match=f"^--{name} is missing; .*--recipe .*smoke"):
            require_data_and_model(values)


def test_a_configuration_is_made_of_recipe_and_flags(recipe):
    config = configuration({"recipe": recipe, "seed": 4})
    assert (config.data, config.seed, config.epochs.prune) == ("digits", 4, 5)
    with pytest.raises(ConfigError, match="--data is missing"):
        configuration({"model": "vgg9"})


def test_an_interrupt_says_how_to_go_on():
    message = "the same command goes on with the grid in a/b"
    with pytest.raises(KeyboardInterrupt, match=message), interruptible("the grid", Path("a/b")):
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), interruptible("the grid", Path("a/b")):
        _ = 1 / 0


def test_values_are_shown_as_words_or_json(capsys):
    values = {"parameters": 1234, "share": 0.5}
    show(values, {"json": True})
    assert json.loads(capsys.readouterr().out) == values
    show(values, {"json": False})
    assert "1,234" in capsys.readouterr().out
