"""Methods by name: sound rows, options that go before a method's own, and what is refused."""

from dataclasses import replace
from itertools import pairwise

import pytest

from spikeprune.errors import ConfigError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.methods import (
    PARTS,
    all_methods,
    default_method,
    find,
    options_for,
    prune_options,
    resolve,
    sources_of,
)
from spikeprune.pruning.options import CRITERIA, PAPER_FRACTION, PruneOverrides
from spikeprune.pruning.sources import SOURCES

ROWS = [(m.name, granularity) for m in METHODS for granularity in m.granularities]
WEIGHT_METHODS = [m.name for m in METHODS if "weight" in m.granularities and m.prunes]
PRUNERS = [name for name in WEIGHT_METHODS if name != "imp"]
AT_START = ("snip", "grasp", "synflow")


# -- the table ---------------------------------------------------------------------------------


def test_name_and_granularity_tell_a_row():
    assert len(set(ROWS)) == len(ROWS)
    assert all_methods() == tuple(METHODS)


@pytest.mark.parametrize(("name", "granularity"), ROWS)
def test_every_row_is_sound(name, granularity):
    method = find(name, granularity)
    saliencies, regrowths = CRITERIA[granularity]
    assert method.saliency in (*saliencies, None)
    assert method.regrow in (*regrowths, "none")
    assert 0 <= method.regrow_fraction < 1
    assert (method.regrow_fraction > 0) == (method.regrow != "none")
    assert method.summary
    assert set(method.parts) <= {*PARTS, "normalise"}
    assert set(sources_of(method)) <= SOURCES.keys()
    if method.prunes:
        options = prune_options(method, 0.9, {"granularity": granularity})
        assert (options.sparsity, options.granularity) == (0.9, granularity)
        assert options.saliency == method.saliency
        assert options.regrow == method.regrow
        assert options.regrow_fraction == method.regrow_fraction


def test_the_paper_s_shares():
    assert find("criticality", "weight").regrow_fraction == PAPER_FRACTION["weight"] == 0.2
    assert find("criticality", "channel").regrow_fraction == PAPER_FRACTION["channel"] == 0.05


def test_the_sources_of_a_method_are_its_own_and_those_of_its_parts():
    assert sources_of(find("dense", "weight")) == ()
    assert sources_of(find("magnitude", "weight")) == ("cubic",)
    assert sources_of(find("granet", "weight")) == ("granet", "cubic", "rigl")
    assert sources_of(find("slimming", "channel")) == ("slimming",)
    changed = resolve("magnitude", {"regrow": "random", "allocation": "erk"})
    assert sources_of(changed) == ("cubic", "set", "rigl")
    assert find("granet", "weight").source == SOURCES["granet"].short


def test_unknown_methods_list_those_of_the_granularity():
    with pytest.raises(ConfigError, match=r"unknown method.*'magic'.*criticality.*dense.*magn"):
        find("magic", "weight")
    with pytest.raises(ConfigError, match=r"'slimming' is not defined for weight.*magnitude") as e:
        find("slimming", "weight")
    names = str(e.value).split(": ")[1].split(", ")
    assert all(a < b for a, b in pairwise(names))


# -- the default -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "criticality-ranked"),
        ({"granularity": "weight", "budget": "weights"}, "criticality-ranked"),
        ({"budget": "synops"}, "criticality-erk"),
        ({"budget": "energy"}, "criticality-erk"),
        ({"granularity": "channel"}, "criticality"),
        ({"granularity": "channel", "budget": "weights"}, "criticality"),
    ],
)
def test_auto_depends_on_granularity_and_budget(overrides, name):
    assert resolve("auto", overrides).name == default_method(**overrides) == name
    by_name = options_for(name, sparsity=0.9, **overrides)
    assert options_for("auto", sparsity=0.9, **overrides) == by_name
    assert options_for(sparsity=0.9, **overrides) == by_name


def test_the_ranked_form_is_its_options():
    ranked = options_for("criticality-ranked", sparsity=0.9)
    assert ranked == options_for(
        "criticality",
        sparsity=0.9,
        fraction_schedule="cosine",
        initial_value="previous",
        criticality=CriticalityOptions(normalise="layer"),
    )
    assert options_for("criticality-erk", sparsity=0.9) == replace(ranked, allocation="erk")
    paper = options_for("criticality", sparsity=0.9)
    assert (paper.initial_value, paper.criticality.normalise) == ("zero", "none")


# -- options beside the name -------------------------------------------------------------------

OVERRIDES = {
    "saliency": "random",
    "regrow_fraction": 0.35,
    "fraction_schedule": "cosine-to-tenth",
    "fraction_of": "before",
    "regrow_within": "layer",
    "regrow_layers": "all",
    "regrow_until": "training",
    "allocation": "uniform",
    "initial_value": "previous",
    "budget": "synops",
    "every": 7,
    "gradient_batches": 3,
    "include": ("features.*",),
    "exclude": ("head",),
    "limits": {"features.*": (0.1, 0.9)},
}


@pytest.mark.parametrize("method", PRUNERS)
@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_goes_before_the_method_s_own(method, name):
    value = OVERRIDES[name]
    own = options_for(method, sparsity=0.9)
    if name == "regrow_fraction" and own.regrow == "none":
        with pytest.raises(ConfigError, match="brings nothing back"):
            options_for(method, sparsity=0.9, regrow_fraction=value)
        return
    made = options_for(method, sparsity=0.9, **{name: value})
    assert made == replace(own, **{name: value})


LATENT = ("stds", "upr", "upr-rate")


@pytest.mark.parametrize("method", LATENT)
def test_nothing_else_brings_latent_weights_back(method):
    with pytest.raises(ConfigError, match="come back by themselves; use regrow 'none'"):
        options_for(method, sparsity=0.9, regrow="gradient")


@pytest.mark.parametrize("method", sorted({*PRUNERS} - {*AT_START, *LATENT, "sbc"}))
def test_another_regrowth_brings_a_share_of_its_own_where_there_is_none(method):
    own = options_for(method, sparsity=0.9)
    made = options_for(method, sparsity=0.9, regrow="gradient")
    share = own.regrow_fraction or PAPER_FRACTION["weight"]
    assert made == replace(own, regrow="gradient", regrow_fraction=share)
    if own.schedule == "constant":  # a net that starts at the target only changes by regrowth
        with pytest.raises(ConfigError, match="changes nothing after the start"):
            options_for(method, sparsity=0.9, regrow="none")
    else:
        nothing = options_for(method, sparsity=0.9, regrow="none")
        assert nothing == replace(own, regrow="none", regrow_fraction=0.0)


@pytest.mark.parametrize("method", AT_START)
def test_nothing_comes_back_after_a_start_at_the_target(method):
    with pytest.raises(ConfigError, match="prunes once, before the first step"):
        options_for(method, sparsity=0.9, regrow="random")


def test_a_part_of_criticality_keeps_the_method_s_normalisation_unless_it_sets_one():
    ranked = options_for("criticality-ranked", sparsity=0.9).criticality
    mean = options_for(sparsity=0.9, criticality=CriticalityOptions(space="mean")).criticality
    assert mean == replace(ranked, space="mean")
    assert mean.normalise == "layer"
    synops = CriticalityOptions(normalise="synops")
    assert options_for(sparsity=0.9, criticality=synops).criticality == synops


def test_a_start_is_denser_than_the_target_only_where_that_is_sparse_enough():
    assert options_for("ndsnn", sparsity=0.9).initial_density == 0.5
    assert options_for("ndsnn", sparsity=0.3).initial_density == pytest.approx(0.7)
    assert options_for("ndsnn", sparsity=0.3, initial_density=0.8).initial_density == 0.8


def test_a_value_of_none_counts_as_not_set():
    nothing = dict.fromkeys(PruneOverrides.__annotations__)
    assert resolve("rigl", nothing) == find("rigl", "weight")
    assert options_for("rigl", sparsity=0.9, **nothing) == options_for("rigl", sparsity=0.9)


def test_the_table_stays_as_it_is():
    before = list(METHODS)
    resolve("magnitude", {"regrow": "criticality", "allocation": "erk"})
    options_for("criticality-ranked", sparsity=0.9, initial_value="zero")
    assert before == METHODS
    assert find("magnitude", "weight").regrow == "none"
    assert find("criticality-ranked", "weight").parts["initial_value"] == "previous"


# -- refused -----------------------------------------------------------------------------------


def test_overrides_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match="unknown regrow 'magic'"):
        options_for(sparsity=0.9, regrow="magic")
    with pytest.raises(ConfigError, match="'magnitude' brings nothing back; choose what by"):
        resolve("magnitude", {"regrow_fraction": 0.2})
    with pytest.raises(ConfigError, match="brings nothing back"):
        resolve("criticality", {"regrow": "none", "regrow_fraction": 0.2})
    assert resolve("magnitude", {"regrow_fraction": 0.0}).regrow_fraction == 0.0
    with pytest.raises(ConfigError, match="unknown Pruner option 'sparsty'"):
        options_for(sparsity=0.9, sparsty=0.5)


def test_sparsity_has_no_default():
    with pytest.raises(ConfigError, match="sparsity has no default: say what share to remove"):
        options_for("magnitude", sparsity=None)


def test_a_pruner_alone_cannot_follow_every_method():
    for granularity in ("weight", "channel"):
        assert not resolve("dense", {"granularity": granularity}).prunes
    with pytest.raises(ConfigError, match="'dense' prunes nothing"):
        options_for("dense", sparsity=0.9)
    with pytest.raises(ConfigError, match=r"'imp' trains in rounds.*spikeprune run --method imp"):
        options_for("imp", sparsity=0.9)
    assert prune_options(resolve("imp", {}), 0.9, {}).schedule == "geometric"  # of a whole run


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"regrow": "random"}, "regrow='random'"),
        ({"regrow_fraction": 0.1}, "regrow_fraction=0.1"),
        ({"schedule": "cubic", "start_saliency": "random"}, "schedule='cubic', start_saliency="),
        ({"initial_density": 0.5}, "initial_density=0.5"),
        ({"saliency": "gate"}, "saliency='gate'"),
    ],
)
def test_what_rewinding_does_not_go_with_is_refused_by_name(overrides, words):
    with pytest.raises(ConfigError, match=f"'imp' drops at the end of each round.*got .*{words}"):
        resolve("imp", overrides)


def test_what_rewinding_goes_with():
    made = resolve("imp", {"regrow": "none", "saliency": "random", "allocation": "erk"})
    assert (made.saliency, made.parts["allocation"], made.rewinds) == ("random", "erk", True)


def test_rounds_that_rewind_refuse_new_values_of_the_weights_that_stay():
    with pytest.raises(ConfigError, match="gives the weights that stay new values, which method"):
        resolve("imp", {"saliency": "sbc"})
