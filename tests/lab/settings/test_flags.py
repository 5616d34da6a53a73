"""Flags of the command line: one for every field of a run, under its heading."""

from dataclasses import fields

import pytest
from jsonargparse import ArgumentParser

from spikeprune.choices import choices
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import SECTIONS, add_flags, explain, flag_names, merge


@pytest.fixture(scope="module")
def parser():
    made = ArgumentParser(exit_on_error=False)
    add_flags(made)
    return made


def test_every_field_has_a_flag_under_the_heading_of_its_section(parser):
    heading = {
        action.dest: group.title
        for group in parser._action_groups
        for action in group._group_actions
    }
    names = [f.name for f in fields(RunConfig)]
    starts = [names.index(first) for first in SECTIONS.values()]
    assert starts == sorted(starts)
    assert starts[0] == 0
    for title, start, stop in zip(SECTIONS, starts, [*starts[1:], len(names)], strict=True):
        for name in names[start:stop]:
            flags = [flag for flag in flag_names() if flag.split(".")[0] == name]
            assert flags
            assert {heading[flag] for flag in flags} == {title}, name


def test_flags_that_are_not_given_leave_nothing(parser):
    assert parser.parse_args([]).as_dict() == {}
    given = ["--sparsity", "0.9", "--epochs.prune=3", "--include", "[a, b]", "--regrow", "random"]
    found = parser.parse_args(given).as_dict()
    assert found == {
        "sparsity": 0.9,
        "epochs": {"prune": 3},
        "include": ["a", "b"],
        "regrow": "random",
    }


def test_closed_lists_are_those_of_flags_and_stand_in_the_help(parser):
    closed = choices(RunConfig)
    assert closed.keys() <= flag_names().keys()
    assert closed["criticality.space"] == ("max", "mean")
    text = " ".join(parser.format_help().split())
    assert (
        "spread over the layers, instead of the method's own (global | budget | uniform | erk)"
        in text
    )
    for names in (closed["saliency"], closed["regrow"], closed["loss"]):
        assert all(name in text.replace("- ", "-") for name in names)


def test_a_default_stands_in_the_help(parser):
    text = " ".join(parser.format_help().split())
    assert "Time steps T (from 1 to 10,000; default: 4)" in text
    assert "same spikes, less time (default: true)" in text


def test_merge_lays_values_over_a_recipe_key_by_key():
    recipe = {"a": 1, "b": {"x": 1, "y": 2}, "c": {"z": 3}, "d": {"k": {"m": 1}}}
    given = {"a": 2, "b": {"y": 5}, "c": {}, "d": {"k": {"n": 2}}, "e": 4}
    assert merge(recipe, given) == {
        "a": 2,
        "b": {"x": 1, "y": 5},
        "c": {},
        "d": {"k": {"m": 1, "n": 2}},
        "e": 4,
    }
    assert recipe["b"] == {"x": 1, "y": 2}


def test_another_model_does_not_take_the_arguments_of_the_recipes_model():
    recipe = {"model": "vgg-small", "model_args": {"widths": [4]}, "seed": 1}
    assert merge(recipe, {"model": "sew-resnet18"}) == {"model": "sew-resnet18", "seed": 1}
    given = {"model": "sew-resnet18", "model_args": {"width": 0.5}}
    assert merge(recipe, given) == given | {"seed": 1}
    assert merge(recipe, {"model": "vgg-small"}) == recipe
    assert merge({"seed": 1}, given) == given | {"seed": 1}


@pytest.mark.parametrize("message", ["something else entirely", "argument --x: expected one"])
def test_messages_that_are_not_known_stay(message):
    assert explain(message) == message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            'Parser key "sparsity": not a float\n  Given value: most',
            "--sparsity: expected a number or null, got 'most'",
        ),
        (
            'Parser key "epochs.prune": not an int\n  Got value: x',
            "--epochs.prune: expected a whole number, got 'x'",
        ),
        ("Unrecognized arguments: --sparsty 0.9", "unknown option --sparsty; did you mean --spars"),
        ("Unrecognized arguments: --zzzz", "unknown option --zzzz; see --help"),
        ("unrecognized arguments: demo", "unexpected argument 'demo'; options start with --"),
        (
            "argument COMMAND: invalid choice: 'rn' (choose from 'run', 'plan')",
            "unknown command rn; expected one of: run, plan",
        ),
        ("the following arguments are required: run.folder", "FOLDER is missing; see --help"),
    ],
)
def test_messages_of_the_parser_are_put_in_our_words(message, words):
    assert explain(message).startswith(words)


def test_flags_of_a_command_s_own_are_known_to_messages():
    message = 'Parser key "jobs": not an int\n  Given value: two'
    assert explain(message, {"jobs": int}) == "--jobs: expected a whole number, got 'two'"
