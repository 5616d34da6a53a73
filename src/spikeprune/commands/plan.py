"""`spikeprune plan`: the plan of a run, without training."""

from spikeprune.commands.base import (
    CONFIGURE,
    JSON,
    RECIPE,
    TRUST_CODE,
    Command,
    Options,
    configuration,
    show,
)
from spikeprune.lab.run.check import check

_DESCRIPTION = """\
Print what a run would prune, its parameters, MACs, memory and time per epoch,
without training. Takes the options of `spikeprune run` and writes nothing."""


def _plan(options: Options) -> None:
    config = configuration(options)
    check(config, folder=False)
    from spikeprune.lab.run.plan import plan

    show(dict(plan(config)), options)


PLAN = Command(
    "plan",
    _plan,
    "the plan of a run, without training",
    CONFIGURE,
    (RECIPE, TRUST_CODE, JSON),
    configures=True,
    description=_DESCRIPTION,
)
