"""Layers by pattern."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.pruning.layer_patterns import matching

NAMES = ("stem.conv", "body.0", "body.1", "head")


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        ((), (), NAMES),
        (("body.*",), (), ("body.0", "body.1")),
        ((), ("head", "stem.*"), ("body.0", "body.1")),
        (("body.*", "head"), ("*.1",), ("body.0", "head")),
    ],
)
def test_layers_match_a_pattern_to_include_and_none_to_exclude(include, exclude, chosen):
    assert matching(NAMES, include, exclude) == chosen


@pytest.mark.parametrize(
    ("names", "include", "exclude", "message"),
    [
        (NAMES, ("Head",), (), "'Head' matches none of the layers: stem.conv"),
        (NAMES, (), ("tail",), "'tail' matches none"),
        (NAMES, ("head",), ("h*",), "leave no layer to prune of: stem.conv"),
        ((), (), (), "no convolution or linear layer whose weight can be pruned"),
    ],
)
def test_a_pattern_that_does_nothing_or_all_is_refused(names, include, exclude, message):
    with pytest.raises(ConfigError, match=message):
        matching(names, include, exclude)
