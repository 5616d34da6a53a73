from dataclasses import fields

import pytest

from spikeprune.lab.settings.config import CHOICES, RunConfig
from spikeprune.lab.settings.flags import GROUPS, explain, flag_names, merge


def test_every_field_stands_under_one_heading():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(f.name for f in fields(RunConfig))


def test_choices_are_about_flags():
    assert set(CHOICES) <= set(flag_names())


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


@pytest.mark.parametrize("message", ["something else entirely", "argument --x: expected one"])
def test_messages_that_are_not_known_stay(message):
    assert explain(message) == message
