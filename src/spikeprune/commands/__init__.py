"""The subcommands of the command line, one row each."""

from spikeprune.commands.analyze import ANALYZE
from spikeprune.commands.base import Command
from spikeprune.commands.compare import COMPARE
from spikeprune.commands.folders import EVALUATE, REPORT
from spikeprune.commands.lists import DATA, METHODS, RECIPES
from spikeprune.commands.plan import PLAN
from spikeprune.commands.reproduce import REPRODUCE
from spikeprune.commands.run import RUN
from spikeprune.commands.search import SEARCH

__all__ = ["COMMANDS"]

_ROWS = (RUN, PLAN, EVALUATE, REPORT, COMPARE, REPRODUCE, ANALYZE, SEARCH, DATA, METHODS, RECIPES)

COMMANDS: dict[str, Command] = {command.name: command for command in _ROWS}
"""Every command by name, in the order of the help."""
