from dataclasses import replace
from itertools import pairwise

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.pruning.methods import METHODS, find
from spikeprune.pruning.options import GRANULARITIES, PAPER_FRACTION, REGROW_NAMES, SALIENCIES

ROWS = [(m.name, granularity) for m in METHODS for granularity in m.granularities]


def config(**values):
    return RunConfig.from_dict({"data": "digits", "model": "vgg-small", "sparsity": 0.9} | values)


def test_a_row_is_told_by_name_and_granularity():
    assert len(set(ROWS)) == len(ROWS)


@pytest.mark.parametrize(("name", "granularity"), ROWS)
def test_every_row_is_sound(name, granularity):
    method = find(name, granularity)
    assert granularity in GRANULARITIES
    assert method.regrow in REGROW_NAMES
    assert method.saliency in (*SALIENCIES, None)
    assert 0 <= method.regrow_fraction < 1
    assert (method.regrow_fraction > 0) == (method.regrow != "none")
    assert method.summary
    if method.prunes:
        options = prune_options(config(method=name, granularity=granularity))
        assert options.saliency == method.saliency
        assert options.regrow_fraction == method.regrow_fraction


def test_the_paper_s_shares():
    assert find("criticality", "weight").regrow_fraction == PAPER_FRACTION["weight"] == 0.2
    assert find("criticality", "channel").regrow_fraction == PAPER_FRACTION["channel"] == 0.05


def test_dense_is_for_both_and_prunes_nothing():
    for granularity in GRANULARITIES:
        assert not resolve(config(method="dense", granularity=granularity)).prunes
    with pytest.raises(ConfigError, match="prunes nothing"):
        prune_options(config(method="dense"))


def test_unknown_methods_list_those_of_the_granularity():
    with pytest.raises(ConfigError, match=r"unknown method.*'magic'.*criticality.*dense.*magn"):
        find("magic", "weight")
    with pytest.raises(ConfigError, match=r"'slimming' is not defined for weight.*magnitude") as e:
        find("slimming", "weight")
    names = str(e.value).split(": ")[1].split(", ")
    assert all(a < b for a, b in pairwise(names))


def test_regrow_overrides_the_method():
    method = resolve(config(method="magnitude", regrow="criticality"))
    assert (method.regrow, method.regrow_fraction) == ("criticality", 0.2)
    assert resolve(config(regrow="random")).regrow_fraction == 0.2
    assert resolve(config(regrow="none")).regrow_fraction == 0.0
    assert resolve(config(regrow_fraction=0.5)).regrow_fraction == 0.5
    channel = resolve(config(method="slimming", granularity="channel", regrow="random"))
    assert channel.regrow_fraction == 0.05
    assert find("magnitude", "weight").regrow == "none"  # the table itself stays


def test_overrides_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match="unknown regrow 'magic'"):
        resolve(config(regrow="magic"))
    with pytest.raises(ConfigError, match="brings nothing back"):
        resolve(config(method="magnitude", regrow_fraction=0.2))
    with pytest.raises(ConfigError, match="brings nothing back"):
        resolve(config(regrow="none", regrow_fraction=0.2))
    assert resolve(config(method="magnitude", regrow_fraction=0.0)).regrow_fraction == 0.0


def test_prune_options_carry_every_choice():
    made = config(
        method="criticality",
        allocation="erk",
        schedule="linear",
        every=7,
        initial_value="previous",
        include=["conv*"],
        exclude=["conv1"],
        limits={"conv2": [0.1, 0.9]},
        criticality={"space": "mean"},
        channels={"floor": 2},
    )
    options = prune_options(made)
    assert options.limits == {"conv2": (0.1, 0.9)}
    for name in (
        *("sparsity", "allocation", "schedule", "every", "initial_value", "include", "exclude"),
        *("criticality", "channels", "granularity"),
    ):
        assert getattr(options, name) == getattr(made, name), name


def test_sparsity_has_no_default():
    with pytest.raises(ConfigError, match="sparsity is missing"):
        prune_options(config(sparsity=None))


def test_the_ranked_form_is_its_options_and_each_can_be_overridden():
    ranked = prune_options(config(method="criticality-ranked"))
    spelled = config(
        method="criticality",
        fraction_schedule="cosine",
        initial_value="previous",
        criticality={"normalise": "layer"},
    )
    assert ranked == prune_options(spelled)
    assert prune_options(config(method="criticality-erk")) == replace(ranked, allocation="erk")
    own = {"initial_value": "zero", "fraction_schedule": "constant"}
    other = config(method="criticality-ranked", criticality={"normalise": "synops"}, **own)
    options = prune_options(other)
    assert (options.initial_value, options.fraction_schedule) == ("zero", "constant")
    assert options.criticality.normalise == "synops"
    paper = prune_options(config(method="criticality"))
    assert (paper.initial_value, paper.criticality.normalise) == ("zero", "none")
