"""`spikeprune plan`: what a run would do, before any training."""

from spikeprune.commands.base import CONFIGURE, JSON, RECIPE, Command, Options, configuration, show
from spikeprune.lab.run.check import check

_DESCRIPTION = """\
Say before any training what a run would prune: parameters, MACs, memory, time
per epoch. Takes the options of `spikeprune run` and writes nothing."""


def _plan(options: Options) -> None:
    config = configuration(options)
    check(config, folder=False)
    from spikeprune.lab.run.plan import plan

    show(dict(plan(config)), options)


PLAN = Command(
    "plan",
    _plan,
    "what a run would do",
    CONFIGURE,
    (RECIPE, JSON),
    configures=True,
    description=_DESCRIPTION,
)
