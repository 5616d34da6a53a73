"""What a user registers has a name everywhere, and no built-in name can be taken."""

import pytest
import torch

from spikeprune import extend
from spikeprune.errors import ConfigError
from spikeprune.lab.report.terminal import methods_table
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import prune_options
from spikeprune.pruning import method_rows
from spikeprune.pruning.criteria import of_channels, of_weights
from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.methods import options_for
from spikeprune.science import allocation
from spikeprune.science.allocation import kept_counts

TABLES = (
    (of_weights, "SALIENCY"),
    (of_weights, "REGROWTH"),
    (of_channels, "CHANNEL_SALIENCY"),
    (of_channels, "CHANNEL_REGROWTH"),
    (allocation, "SHARES"),
)


@pytest.fixture(autouse=True)
def _nothing_stays():
    before = [dict(getattr(module, name)) for module, name in TABLES]
    rows = list(method_rows.METHODS)
    yield
    for (module, name), kept in zip(TABLES, before, strict=True):
        table = getattr(module, name)
        table.clear()
        table.update(kept)
    method_rows.METHODS[:] = rows


def rate_of_group(group, inputs):
    return torch.arange(1.0, group.channels + 1)


def test_a_saliency_is_an_option_of_library_and_command_line():
    @extend.saliency("quiet-magnitude", needs={"potentials"})
    def quiet(layer, weight, inputs):
        return weight.abs() * extend.per_input(weight, inputs.pre_rates(layer))

    extend.check_criterion("quiet-magnitude")
    library = options_for("magnitude", sparsity=0.9, saliency="quiet-magnitude")
    run = RunConfig(
        data="digits",
        model="vgg-small",
        method="magnitude",
        saliency="quiet-magnitude",
        sparsity=0.9,
    )
    assert library == prune_options(run)
    assert library.saliency == "quiet-magnitude"


def test_regrowth_and_channels_conform_too():
    @extend.regrowth("largest-first", needs={"last-magnitude"})
    def largest(layer, weight, inputs):
        return inputs.last_magnitude[layer]

    extend.channel_saliency("by-index")(rate_of_group)
    extend.channel_regrowth("by-index")(rate_of_group)
    extend.check_criterion("largest-first", kind="regrowth")
    extend.check_criterion("by-index", granularity="channel")
    extend.check_criterion("by-index", kind="regrowth", granularity="channel")


def test_an_allocation_spreads_the_live_weights_by_its_shares():
    @extend.allocation("thirds")
    def thirds(layer, shape):
        return {"a": 1, "b": 2}[layer]

    shapes = {"a": (10, 10), "b": (10, 10)}
    assert kept_counts(shapes, 0.3, allocation="thirds") == {"a": 20, "b": 40}
    assert options_for("magnitude", sparsity=0.9, allocation="thirds").allocation == "thirds"


def test_a_method_is_found_and_listed():
    made = extend.method(
        name="mine",
        granularities=("weight",),
        saliency="magnitude",
        regrow="random",
        regrow_fraction=0.1,
        summary="a method of mine",
        parts={"allocation": "erk"},
    )
    options = options_for("mine", sparsity=0.8)
    assert (options.regrow, options.fraction, options.allocation) == ("random", 0.1, "erk")
    assert "mine" in list(methods_table().columns[0].cells)[-1]
    assert extend.method(**{**vars(made)}) == made  # a module that is imported again
    assert METHODS.count(made) == 1


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (
            lambda: extend.saliency("magnitude")(rate_of_group),
            "'magnitude' is .*_magnitude already",
        ),
        (lambda: extend.regrowth("random")(rate_of_group), "'random' is .*_random already"),
        (lambda: extend.channel_saliency("random")(rate_of_group), "'random' is .* already"),
        (lambda: extend.allocation("erk")(rate_of_group), "'erk' is .* already"),
        (lambda: extend.allocation("global"), "'global' exists already"),
        (
            lambda: extend.method(
                name="rigl", granularities=("weight",), saliency="magnitude", summary=""
            ),
            "'rigl' exists already for weight",
        ),
    ],
)
def test_no_name_is_taken_twice(register, message):
    with pytest.raises(ConfigError, match=message):
        register()
