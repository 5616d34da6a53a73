"""Commands that print lists: `spikeprune data`, `methods` and `recipes`."""

from rich.console import Console

from spikeprune.commands.base import DATA_ROOT, Command, Options
from spikeprune.lab.report.terminal import methods_table, print_data, recipes_table


def _data(options: Options) -> None:
    print_data(Console(), options["data_root"])


def _methods(_: Options) -> None:
    Console().print(methods_table())


def _recipes(_: Options) -> None:
    Console().print(recipes_table())


DATA = Command("data", _data, "list the data sets and where they are found", arguments=(DATA_ROOT,))
METHODS = Command("methods", _methods, "list the pruning methods")
RECIPES = Command("recipes", _recipes, "list the shipped recipes")
