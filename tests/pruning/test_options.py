"""Every option that does not exist, or would be ignored in silence, is refused with the way out."""

from dataclasses import MISSING, fields, replace

import pytest

from spikeprune.errors import ConfigError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions, PruneOverrides, measured_at_start

BAD = [
    ({}, "sparsity has no default.*sparsity=0.9"),
    ({"sparsity": 0.0}, r"sparsity to be in \(0, 1\), got 0"),
    ({"sparsity": 1.0}, r"sparsity to be in \(0, 1\), got 1"),
    ({"sparsity": float("nan")}, r"sparsity to be in \(0, 1\), got nan"),
    ({"sparsty": 0.9}, "unknown Pruner option 'sparsty'.*sparsity"),
    ({"granularity": "filter"}, "unknown granularity 'filter'.*channel, weight"),
    ({"saliency": "hessian"}, "unknown saliency 'hessian'.*batchnorm-scale.*magnitude.*random"),
    ({"saliency": "batchnorm-scale"}, "not defined for weights; choose.*magnitude, random"),
    ({"regrow": "magic"}, "unknown regrow 'magic'.*criticality.*gradient, none, random"),
    ({"regrow_fraction": 1.0}, r"regrow_fraction to be in \[0, 1\), got 1"),
    ({"regrow_fraction": -0.1}, r"regrow_fraction to be in \[0, 1\), got -0.1"),
    ({"allocation": "local"}, "unknown allocation 'local'.*erk, global, uniform"),
    (
        {"schedule": "stairs"},
        "unknown schedule 'stairs'.*cubic, early-bird, geometric, linear",
    ),
    ({"initial_value": "noise"}, "unknown initial_value 'noise'.*previous, unchanged, zero"),
    ({"include": "conv1"}, r"include as a list of patterns, got the text 'conv1'.*bracket"),
    ({"exclude": "conv1"}, "expected exclude as a list of patterns"),
    (
        {"granularity": "channel", "regrow": "gradient"},
        "not defined for channels; choose.*scale-gradient",
    ),
    ({"saliency": "snip", "regrow": "none"}, "snip is measured once.*schedule 'at-start'"),
    (
        {"saliency": "snip", "schedule": "at-start", "regrow": "criticality"},
        "prunes once.*regrow='criticality'",
    ),
    (
        {"schedule": "one-shot", "fraction_schedule": "cosine", "regrow": "random"},
        "nothing would come back; use",
    ),
    ({"initial_density": 0.05}, r"lies below the final density 0.1; a net never gets denser"),
    ({"schedule": "constant", "regrow": "none"}, "changes nothing after the start"),
    ({"start_saliency": "random"}, "but this one starts dense"),
    ({"saliency": "taylor", "initial_density": 0.9}, "needs the gradient of a training step"),
    ({"saliency": "sbc", "regrow": "random"}, "make up for those that go, so none of these"),
    ({"saliency": "fisher", "initial_density": 0.9}, "needs the gradient of a training step"),
    ({"saliency": "taylor", "schedule": "at-start"}, "choose another start_saliency, or snip"),
    (
        {"schedule": "constant", "regrow": "random", "start_saliency": "taylor"},
        "saliency 'taylor' needs the gradient of a training step",
    ),
    ({"saliency": "gate", "regrow": "random"}, "'gate' ranks latent weights.*use regrow 'none'"),
    ({"saliency": "gate", "initial_density": 0.5}, "trained from a dense start"),
    ({"start_saliency": "gate", "schedule": "at-start"}, "trained from a dense start"),
    (
        {"saliency": "latent-magnitude", "allocation": "budget", "budget": "synops"},
        "raises a threshold.*use allocation 'global' or 'erk'",
    ),
    (
        {"schedule": "early-bird", "regrow": "random", "regrow_until": "training"},
        "'early-bird' has one event",
    ),
    ({"settled_below": 0.0}, r"settled_below to be in \(0, 1\), got 0"),
    ({"gate_penalty": -1.0}, "gate_penalty to be from 0 to 1,000,000, got -1"),
    ({"granularity": "channel", "gate_lr": 0.1}, "gate_lr=0.1 is defined for weights"),
    ({"start_saliency": "hessian"}, "unknown start_saliency 'hessian'.*magnitude"),
    ({"initial_density": 0.0}, r"initial_density to be in \(0, 1\], got 0"),
    ({"budget": "synops", "limits": {"*": (0.1, 1)}}, "do not go with a budget of synops"),
    ({"granularity": "channel", "budget": "synops"}, "budget='synops' is defined for weights"),
    ({"granularity": "channel", "schedule": "constant"}, "schedule='constant' is defined for w"),
    ({"granularity": "channel", "fraction_schedule": "cosine"}, "defined for weights; channels"),
    ({"granularity": "channel", "allocation": "erk"}, "for channels set a floor"),
    ({"granularity": "channel", "limits": {"*": (0.1, 1)}}, "for channels set a floor"),
    (
        {
            "granularity": "channel",
            "regrow": "criticality",
            "criticality": CriticalityOptions(normalise="synops"),
        },
        "for channels choose normalise none or layer",
    ),
    (
        {
            "granularity": "channel",
            "regrow": "criticality",
            "criticality": CriticalityOptions(weight="post*grad"),
        },
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
        (
            {"budget": "heat"},
            "unknown channels.budget 'heat'.*channels, energy, macs, parameters, syn",
        ),
        ({"reducer": "sum"}, "unknown channels.reducer 'sum'.*max, mean"),
        ({"floor": 0}, "channels.floor to be at least 1, got 0"),
        ({"round_to": 0}, "channels.round_to to be at least 1, got 0"),
        ({"l1": -1.0}, "channels.l1 to be from 0 to 1,000,000, got -1"),
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


def test_channels_have_one_event_or_about_fifteen_that_may_wait():
    made = PruneOptions.of(sparsity=0.5, granularity="channel")
    assert made.interval(90) == 90
    early = PruneOptions.of(sparsity=0.5, granularity="channel", schedule="early-bird")
    assert early.interval(90) == 6
    assert replace(early, every=5).interval(90) == 5


def test_a_soft_threshold_has_about_a_hundred():
    made = PruneOptions.of(sparsity=0.5, saliency="latent-magnitude")
    assert (made.interval(842), made.interval(99), made.latent) == (8, 1, "threshold")


def test_the_defaults_are_gradual_magnitude_pruning():
    options = PruneOptions.of(sparsity=0.9)
    assert (options.granularity, options.saliency, options.regrow) == (
        "weight",
        "magnitude",
        "none",
    )
    assert (options.allocation, options.schedule, options.budget) == ("global", "cubic", "weights")
    assert (options.initial_density, options.initial_value) == (1.0, "zero")
    assert options.criticality == CriticalityOptions()
    assert options.channels == ChannelOptions(
        budget="channels", floor=1, round_to=1, l1=1e-4, reducer="mean"
    )


def test_the_fraction_is_the_paper_s_unless_it_is_given():
    assert PruneOptions.of(sparsity=0.5).fraction == 0.2
    assert PruneOptions.of(sparsity=0.5, granularity="channel").fraction == 0.05
    assert PruneOptions.of(sparsity=0.5, regrow_fraction=0.0).fraction == 0.0


def test_the_unit_is_that_of_the_granularity():
    channels = ChannelOptions(budget="macs")
    assert PruneOptions.of(sparsity=0.5, channels=channels).unit == "weights"
    assert PruneOptions.of(sparsity=0.5, budget="synops").unit == "synops"
    assert PruneOptions.of(sparsity=0.5, granularity="channel", channels=channels).unit == "macs"


def test_overrides_are_the_fields_but_sparsity():
    names = {f.name for f in fields(PruneOptions)}
    assert PruneOverrides.__annotations__.keys() == names - {"sparsity"}
    assert not PruneOverrides.__required_keys__
    without_default = [
        f.name for f in fields(PruneOptions) if f.default is f.default_factory is MISSING
    ]
    assert without_default == ["sparsity"]


def test_scores_that_channels_do_not_use_are_not_checked():
    weighted = CriticalityOptions(weight="post*pre")
    options = PruneOptions.of(sparsity=0.5, granularity="channel", criticality=weighted)
    assert options.criticality == weighted


@pytest.mark.parametrize(
    ("saliency", "at_start"),
    [("snip", True), ("grasp", True), ("synflow", True), ("magnitude", False), ("none", False)],
)
def test_saliencies_that_are_measured_at_initialization(saliency, at_start):
    assert measured_at_start(saliency) is at_start
