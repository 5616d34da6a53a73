"""Every option that does not exist, or would be ignored in silence, is refused with the way out."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.errors import ConfigError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.options import ChannelOptions, PruneOptions, floor_share, matching

BAD = [
    ({}, "sparsity has no default.*sparsity=0.9"),
    ({"sparsity": 0.0}, r"sparsity must lie in \(0, 1\), got 0"),
    ({"sparsity": 1.0}, r"sparsity must lie in \(0, 1\), got 1"),
    ({"sparsity": float("nan")}, r"sparsity must lie in \(0, 1\), got nan"),
    ({"sparsty": 0.9}, "unknown Pruner option 'sparsty'.*sparsity"),
    ({"granularity": "filter"}, "unknown granularity 'filter'.*channel, weight"),
    ({"saliency": "taylor"}, "unknown saliency 'taylor'.*batchnorm-scale.*magnitude.*random"),
    ({"saliency": "batchnorm-scale"}, "not defined for weights; choose.*magnitude, random"),
    ({"regrow": "magic"}, "unknown regrowth 'magic'.*criticality.*gradient, none, random"),
    ({"regrow_fraction": 1.0}, r"regrow_fraction must lie in \[0, 1\), got 1"),
    ({"regrow_fraction": -0.1}, r"regrow_fraction must lie in \[0, 1\), got -0.1"),
    ({"allocation": "local"}, "unknown allocation 'local'.*erk, global, uniform"),
    ({"schedule": "stairs"}, "unknown schedule 'stairs'.*cubic, geometric, linear, one-shot"),
    ({"initial_value": "noise"}, "unknown initial value 'noise'.*previous, zero"),
    ({"include": "conv1"}, r"include as a list of patterns, got the text 'conv1'.*bracket"),
    ({"exclude": "conv1"}, "expected exclude as a list of patterns"),
    (
        {"granularity": "channel", "regrow": "gradient"},
        "not defined for channels; choose.*scale-gradient",
    ),
    ({"saliency": "snip", "regrow": "none"}, "snip is measured once.*schedule 'at-start'"),
    ({"saliency": "snip", "schedule": "at-start"}, "prunes once.*regrow='criticality'"),
    ({"schedule": "one-shot", "fraction_schedule": "cosine"}, "nothing would come back; use"),
    ({"schedule": "constant", "regrow": "none"}, "changes nothing after the start"),
    ({"start_saliency": "random"}, "but this one starts dense"),
    ({"start_saliency": "taylor"}, "unknown start_saliency 'taylor'.*magnitude"),
    ({"initial_density": 0.0}, r"initial_density must lie in \(0, 1\], got 0"),
    ({"budget": "synops", "limits": {"*": (0.1, 1)}}, "do not go with a budget of synops"),
    ({"granularity": "channel", "budget": "synops"}, "budget='synops' is defined for weights"),
    ({"granularity": "channel", "schedule": "constant"}, "schedule='constant' is defined for w"),
    ({"granularity": "channel", "fraction_schedule": "cosine"}, "defined for weights; channels"),
    ({"granularity": "channel", "allocation": "erk"}, "for channels set channels.floor"),
    ({"granularity": "channel", "limits": {"*": (0.1, 1)}}, "for channels set channels.floor"),
    (
        {"granularity": "channel", "criticality": CriticalityOptions(normalise="synops")},
        "for channels choose normalise none or layer",
    ),
    (
        {"granularity": "channel", "criticality": CriticalityOptions(weight="post*grad")},
        "for channels choose normalise none or layer and weight post",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_refused(options, message):
    if options and "sparsity" not in options:
        options = {"sparsity": 0.9} | options
    with pytest.raises(ConfigError, match=message):
        PruneOptions.of(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curve": "gauss"}, "unknown criticality curve 'gauss'.*atan, model, sigmoid"),
        ({"value": "integral"}, "unknown criticality value 'integral'.*derivative, primitive"),
        ({"space": "sum"}, "unknown criticality space 'sum'.*max, mean"),
        ({"time": "sum"}, "unknown criticality time 'sum'.*max, mean"),
        ({"normalise": "net"}, "unknown criticality normalise 'net'.*layer, none, synops"),
        ({"weight": "pre"}, r"unknown criticality weight 'pre'.*post, post\*grad, post\*pre"),
        ({"score_on": "test"}, "unknown criticality score_on 'test'.*train-batch, train-set"),
        ({"batches": 0}, "criticality.batches must be at least 1, got 0"),
    ],
)
def test_bad_criticality_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        CriticalityOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "energy"}, "unknown channel budget 'energy'.*channels, macs, parameters"),
        ({"reducer": "sum"}, "unknown channel reducer 'sum'.*max, mean"),
        ({"floor": 0}, "must be at least 1.*got floor=0"),
        ({"round_to": 0}, "must be at least 1.*round_to=0"),
        ({"l1": -1.0}, "at least 0, got.*l1=-1"),
    ],
)
def test_bad_channel_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ChannelOptions(**options)


@pytest.mark.parametrize(
    ("every", "steps", "interval"), [(7, 100, 7), (None, 842, 56), (None, 9, 1)]
)
def test_without_an_interval_there_are_about_fifteen_events(every, steps, interval):
    assert PruneOptions.of(sparsity=0.5, every=every).interval(steps) == interval


def test_the_defaults_are_the_paper_s():
    options = PruneOptions.of(sparsity=0.9)
    assert (options.saliency, options.regrow, options.fraction) == (
        *("magnitude", "criticality", 0.2),
    )
    assert PruneOptions.of(sparsity=0.5, granularity="channel").fraction == 0.05
    assert (options.allocation, options.schedule, options.initial_value) == (
        *("global", "cubic", "zero"),
    )
    c = options.criticality
    assert (c.curve, c.value, c.space, c.time) == ("model", "derivative", "max", "mean")
    assert (c.normalise, c.weight, c.batches, c.score_on) == ("none", "post", 1, "train-batch")
    assert options.channels == ChannelOptions(
        budget="channels", floor=1, round_to=1, l1=1e-4, reducer="mean"
    )


def test_scores_that_channels_do_not_use_are_not_checked():
    weighted = CriticalityOptions(weight="post*pre")
    PruneOptions.of(sparsity=0.5, granularity="channel", regrow="none", criticality=weighted)


NAMES = ("stem.conv", "body.conv1", "body.conv2", "head")


def test_patterns_choose_layers_in_order():
    assert matching(NAMES, (), ()) == NAMES
    assert matching(NAMES, ("body.*", "stem*"), ()) == NAMES[:3]
    assert matching(NAMES, (), ("head",)) == NAMES[:3]
    assert matching(NAMES, ("body.*",), ("*2",)) == ("body.conv1",)


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        (("bdy.*",), (), r"'bdy.\*' matches none of the layers: stem.conv, body.conv1"),
        ((), ("Head",), "'Head' matches none"),
        (("head",), ("h*",), "leave no layer to prune"),
    ],
)
def test_patterns_that_match_nothing_are_refused(include, exclude, message):
    with pytest.raises(ConfigError, match=message):
        matching(NAMES, include, exclude)


@given(st.integers(0, 99), st.integers(0, 10**7))
def test_the_regrown_share_is_that_of_the_decimal_fraction(percent, count):
    assert floor_share(percent / 100, count) == Fraction(percent, 100) * count // 1
