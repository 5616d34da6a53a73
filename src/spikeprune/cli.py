"""The command line: one function a command, errors as one message and an exit code."""

import argparse
import json
import logging
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import SUPPRESS, ArgumentError, ArgumentParser
from rich.console import Console

from spikeprune import __version__
from spikeprune.errors import ConfigError, SpikePruneError
from spikeprune.lab.check import check
from spikeprune.lab.config import RunConfig
from spikeprune.lab.display import make_display
from spikeprune.lab.flags import add_flags, explain, merge
from spikeprune.lab.recipes import read_recipe, recipe_names
from spikeprune.lab.tables import methods_table, print_data, print_values, recipes_table

__all__ = ["main"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_DESCRIPTION = """\
Prune spiking neural networks, bring back what is critical, hand over a
smaller net with an honest account."""

_RUN = """\
Train the dense net, prune and regrow, fine-tune, cut, evaluate and report,
into one folder. Every stage looks for its own output first: the same command
again goes on where a run stopped.

Start from a recipe, or give at least --data, --model and --sparsity. Flags win
over the recipe, wherever they stand. Values are YAML: --augment '[crop, flip]',
--model_args.width 0.5, --limits '{conv1: [0.5, 1]}', and null for nothing."""

_PLAN = """\
Say before any training what a run would prune: parameters, MACs, memory, time
per epoch. Takes the options of `spikeprune run` and writes nothing."""

_EXAMPLES = """\
examples:
  spikeprune run --recipe smoke
  spikeprune run --recipe demo --method magnitude --epochs.prune 4 --seed 1
  spikeprune run --data cifar10 --data_root ~/data --model vgg16 --sparsity 0.9
  spikeprune run --data my_data:loaders --model my_nets:build \\
                 --weights net.safetensors --granularity channel \\
                 --sparsity 0.5 --out runs/mine

recipes (`spikeprune recipes` says what they run):
RECIPES"""

_EPILOG = """\
`spikeprune COMMAND --help` tells the options of a command.

first steps:
  spikeprune run --recipe smoke     some seconds, no data needed
  spikeprune run --recipe demo      Fashion-MNIST, some minutes"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with room for our longest flags: one line each on a wide terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # jsonargparse adds a second spelling, --name+, to every list
        return re.sub(r", --\S+\+ .*", "", super()._format_action_invocation(action))


@dataclass(frozen=True)
class _Command:
    """A subcommand: its function, its arguments (keys of `_ARGUMENTS`) and its words."""

    function: Callable[[Mapping[str, Any]], None]
    arguments: tuple[str, ...]
    summary: str
    usage: str = "[options]"
    description: str = ""
    epilog: str = ""
    configures: bool = False


_ARGUMENTS: dict[str, dict[str, Any]] = {
    "folder": {"type": str, "metavar": "FOLDER", "help": "folder of the run"},
    "--recipe": {
        **{"type": str, "default": SUPPRESS, "metavar": "NAME|FILE"},
        "help": "ready configuration by name, or a YAML file of yours; flags win over it",
    },
    "--data_root": {
        **{"type": str, "default": None, "metavar": "PATH"},
        "help": "folder with local copies of the data",
    },
    "--device": {
        **{"type": str, "default": "cpu", "metavar": "NAME"},
        "help": "where to compute: cpu, cuda or auto (default: cpu)",
    },
    "--json": {"action": "store_true", "help": "print JSON"},
    "--debug": {"action": "store_true", "help": "show the traceback of an error"},
}


def _parser() -> ArgumentParser:
    common = {"exit_on_error": False, "allow_abbrev": False, "formatter_class": _Help}
    parser = ArgumentParser(
        prog="spikeprune",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        version=__version__,
        usage="spikeprune COMMAND [options]",
        **common,
    )
    commands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")
    names = textwrap.fill(", ".join(recipe_names()), 76, break_on_hyphens=False)
    for name, command in _COMMANDS.items():
        sub = ArgumentParser(
            usage=f"spikeprune {name} {command.usage}",
            description=command.description or command.summary,
            epilog=command.epilog.replace("RECIPES", textwrap.indent(names, "  ")),
            **common,
        )
        for argument in (*command.arguments, "--debug"):
            sub.add_argument(argument, **_ARGUMENTS[argument])
        if command.configures:
            add_flags(sub)
        commands.add_subcommand(name, sub, help=command.summary)
    return parser


def _config(options: Mapping[str, Any]) -> RunConfig:
    given = {n: v for n, v in options.items() if n not in {"recipe", "json", "debug"}}
    recipe = read_recipe(options["recipe"]) if "recipe" in options else {}
    values = merge(recipe, given)
    for name in ("data", "model"):
        if values.get(name) is None:
            raise ConfigError(
                f"--{name} is missing; give it, or start from a recipe by --recipe "
                f"({', '.join(recipe_names())})"
            )
    return RunConfig.from_dict(values)


def _run(options: Mapping[str, Any]) -> None:
    config = _config(options)
    check(config)
    from spikeprune.lab.run import run

    try:
        with make_display() as display:
            display.done(run(config, display=display))
    except KeyboardInterrupt:
        folder = config.folder
        raise KeyboardInterrupt(f"the same command goes on with the run in {folder}") from None


def _plan(options: Mapping[str, Any]) -> None:
    config = _config(options)
    check(config, folder=False)
    from spikeprune.lab.plan import plan

    _show(plan(config), options)


def _evaluate(options: Mapping[str, Any]) -> None:
    from spikeprune.lab.evaluate_run import evaluate_folder

    folder = Path(options["folder"]).expanduser()
    _show(
        evaluate_folder(folder, data_root=options["data_root"], device=options["device"]), options
    )


def _report(options: Mapping[str, Any]) -> None:
    from spikeprune.lab.report import write_report

    print(f"report: {write_report(Path(options['folder']).expanduser())}")


def _show(values: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    if options["json"]:
        print(json.dumps(values, indent=2))
    else:
        print_values(Console(), values)


_CONFIGURE = "[--recipe NAME|FILE.yaml] [--option value ...]"
_COMMANDS = {
    "run": _Command(
        *(_run, ("--recipe",), "the whole job", _CONFIGURE, _RUN, _EXAMPLES), configures=True
    ),
    "plan": _Command(
        *(_plan, ("--recipe", "--json"), "what a run would do", _CONFIGURE, _PLAN),
        configures=True,
    ),
    "evaluate": _Command(
        *(_evaluate, ("folder", "--data_root", "--device", "--json")),
        *("measure a finished run again, from its saved nets", "FOLDER [options]"),
    ),
    "report": _Command(
        *(_report, ("folder",), "write report.html of a finished run again", "FOLDER [options]")
    ),
    "data": _Command(
        lambda options: print_data(Console(), options["data_root"]),
        *(("--data_root",), "list the data sets and where they are found"),
    ),
    "methods": _Command(lambda _: Console().print(methods_table()), (), "list the pruning methods"),
    "recipes": _Command(lambda _: Console().print(recipes_table()), (), "list the shipped recipes"),
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep third parties' notes that no user can act on out of the output."""
    noisy = logging.getLogger("torch._library.triton")  # "Triton not available" on every CPU
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=category, module=r"(?!spikeprune)")
            yield
    finally:
        noisy.setLevel(level)


def _fail(message: str, code: int) -> int:
    print(f"spikeprune: {message}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done; 1: it failed; 2: wrong usage or options that cannot work; 130: interrupted. Errors are
    one message on standard error; `--debug` shows the traceback.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        _parser().print_help(sys.stderr)
        return USAGE
    try:
        with _quiet():
            options = _parser().parse_args(arguments).as_dict()
            command = options["command"]
            _COMMANDS[command].function(options[command])
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        return _fail(f"interrupted; {stop or 'nothing is lost'}", INTERRUPTED)
    except ArgumentError as error:
        return _fail(f"error: {explain(str(error))}", USAGE)
    except SpikePruneError as error:
        if "--debug" in arguments:
            raise
        return _fail(f"error: {error}", USAGE if isinstance(error, ConfigError) else FAILED)
    return 0
