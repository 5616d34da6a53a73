"""Commands that print lists: `spikeprune data`, `methods` and `recipes`."""

from rich.console import Console

from spikeprune.commands.base import DATA_ROOT, Command, Options, flag
from spikeprune.lab.report.terminal import methods_table, print_data, recipes_table
from spikeprune.user_code import import_user_modules


def _data(options: Options) -> None:
    print_data(Console(), options["data_root"])


def _methods(options: Options) -> None:
    import_user_modules(options["extensions"])
    Console().print(methods_table())


def _recipes(_: Options) -> None:
    Console().print(recipes_table())


DATA = Command("data", _data, "list the data sets and where they are found", arguments=(DATA_ROOT,))
EXTENSIONS = flag(
    "extensions", list[str], "[A,B]", "modules of your own that register methods", default=[]
)
METHODS = Command("methods", _methods, "list the pruning methods", arguments=(EXTENSIONS,))
RECIPES = Command("recipes", _recipes, "list the shipped recipes")
