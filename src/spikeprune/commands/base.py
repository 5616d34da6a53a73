"""What a subcommand is, and what several of them share: arguments, configuration, printing."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from jsonargparse import SUPPRESS
from rich.console import Console

from spikeprune.errors import ConfigError
from spikeprune.lab.report.terminal import print_values
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import merge
from spikeprune.lab.settings.recipes import read_recipe, recipe_names

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Argument:
    """An argument of a command: its name (flags with dashes) and the options of argparse."""

    name: str
    options: Options


@dataclass(frozen=True)
class Command:
    """A subcommand: a row of `COMMANDS`."""

    name: str
    function: Callable[[Options], None]
    """Does the work; is given the values of the arguments by name. Heavy imports belong in it."""
    summary: str
    """One line for the list of commands."""
    usage: str = "[options]"
    """What follows the command's name in the usage line."""
    arguments: tuple[Argument, ...] = field(default=())
    configures: bool = False
    """Whether it takes a flag for every field of `RunConfig` as well."""
    description: str = ""
    epilog: str = ""
    """The last part of the help; the word RECIPES becomes the names of the shipped recipes."""


FOLDER = Argument("folder", {"type": str, "metavar": "FOLDER", "help": "folder of the run"})
RECIPE = Argument(
    "--recipe",
    {
        **{"type": str, "default": SUPPRESS, "metavar": "NAME|FILE"},
        "help": "ready configuration by name, or a YAML file of yours; flags win over it",
    },
)
DATA_ROOT = Argument(
    "--data_root",
    {
        **{"type": str, "default": None, "metavar": "PATH"},
        "help": "folder with local copies of the data",
    },
)
DEVICE = Argument(
    "--device",
    {
        **{"type": str, "default": "cpu", "metavar": "NAME"},
        "help": "where to compute: cpu, cuda or auto (default: cpu)",
    },
)
JSON = Argument("--json", {"action": "store_true", "help": "print JSON"})
CONFIGURE = "[--recipe NAME|FILE.yaml] [--option value ...]"
"""Usage of the commands that take a run's options."""


def run_values(options: Options) -> dict[str, Any]:
    """Return the fields of a run that recipe and flags set; flags win.

    Raises:
        ConfigError: no such recipe.
    """
    names = {f.name for f in fields(RunConfig)}
    recipe = read_recipe(options["recipe"]) if "recipe" in options else {}
    return merge(recipe, {name: value for name, value in options.items() if name in names})


def configuration(options: Options) -> RunConfig:
    """Return the run that recipe and flags ask for.

    Raises:
        ConfigError: no such recipe, fields that are wrong, or neither data nor model.
    """
    values = run_values(options)
    for name in ("data", "model"):
        if values.get(name) is None:
            raise ConfigError(
                f"--{name} is missing; give it, or start from a recipe by --recipe "
                f"({', '.join(recipe_names())})"
            )
    return RunConfig.from_dict(values)


def show(values: Options, options: Options) -> None:
    """Print values as words, or as JSON if the options ask for it."""
    if options["json"]:
        print(json.dumps(values, indent=2))
    else:
        print_values(Console(), values)
