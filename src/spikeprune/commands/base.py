"""Commands of the command line: their form, and the arguments and steps that several share."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse import SUPPRESS
from rich.console import Console

from spikeprune.errors import ConfigError
from spikeprune.lab.report.terminal import print_values
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import merge
from spikeprune.lab.settings.recipes import read_recipe, recipe_names
from spikeprune.user_code import import_user_modules, named_code, refuse_code

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Argument:
    """An argument of a command: its name (flags with dashes) and the options of argparse."""

    name: str
    options: Options


def flag(name: str, kind: Any, metavar: str, text: str, *, default: Any = SUPPRESS) -> Argument:
    """Return a flag with a value; without a default it is absent unless the user gives it."""
    options = {"type": kind, "default": default, "metavar": metavar, "help": text}
    return Argument(f"--{name}", options)


def switch(name: str, text: str) -> Argument:
    """Return a flag without a value, off by default."""
    return Argument(f"--{name}", {"action": "store_true", "help": text})


def positional(name: str, metavar: str, text: str, **options: Any) -> Argument:
    """Return an argument without a flag."""
    return Argument(name, {"type": str, "metavar": metavar, "help": text, **options})


@dataclass(frozen=True)
class Command:
    """A subcommand."""

    name: str
    function: Callable[[Options], None]  # gets the arguments by name; does heavy imports
    summary: str  # for the list of commands
    usage: str = "[options]"  # the usage line behind the name
    arguments: tuple[Argument, ...] = ()
    configures: bool = False  # whether it also takes a flag for every field of `RunConfig`
    description: str = ""  # the text above the arguments in the help; empty: the summary
    epilog: str = ""  # below the arguments; RECIPES becomes the names of the shipped recipes


FOLDER = positional("folder", "FOLDER", "folder of the run")
_RECIPE = "ready configuration by name, or a YAML file of yours; flags win over it"
RECIPE = flag("recipe", str, "NAME|FILE", _RECIPE)
DATA_ROOT = flag("data_root", str, "PATH", "folder with local copies of the data", default=None)
_DEVICE = "where to compute: cpu, cuda or auto (default: cpu)"
DEVICE = flag("device", str, "NAME", _DEVICE, default="cpu")
JSON = switch("json", "print JSON")
TRUST_CODE = switch("trust-code", "import the code that a folder or a recipe of yours names")
CONFIGURE = "[--recipe NAME|FILE.yaml] [--option value ...]"
"""Usage of the commands that take a run's options."""


def run_values(options: Options) -> dict[str, Any]:
    """Return the fields of a run that recipe and flags set; flags win.

    Raises:
        RunError: a recipe from a file names code, and the options do not trust it.
    """
    names = {f.name for f in fields(RunConfig)}
    given = {name: value for name, value in options.items() if name in names}
    if "recipe" not in options:
        return given
    recipe = read_recipe(options["recipe"])
    if options["recipe"] not in recipe_names() and not options.get("trust_code"):
        own = {name: value for name, value in recipe.items() if name not in given}
        refuse_code(named_code(own), options["recipe"])
    return merge(recipe, given)


def require_data_and_model(values: Options) -> None:
    """Raise a `ConfigError` unless the fields of a run name its data and model."""
    for name in ("data", "model"):
        if values.get(name) is None:
            raise ConfigError(
                f"--{name} is missing; give it, or start from a recipe by --recipe "
                f"({', '.join(recipe_names())})"
            )


def configuration(options: Options) -> RunConfig:
    """Return the run that recipe and flags configure."""
    values = run_values(options)
    require_data_and_model(values)
    config = RunConfig.from_dict(values)
    import_user_modules(config.extensions)
    return config


@contextmanager
def interruptible(what: str, folder: Path) -> Iterator[None]:
    """Add to an interrupt how to continue: by the same command."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on with {what} in {folder}") from None


def show(values: Options, options: Options) -> None:
    """Print values as words, or as JSON if the options ask for it."""
    if options["json"]:
        print(json.dumps(values, indent=2))
    else:
        print_values(Console(), values)
