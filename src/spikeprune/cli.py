"""The command line: runs a command, and turns errors into one message and an exit code."""

import argparse
import logging
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jsonargparse import ArgumentError, ArgumentParser

from spikeprune._version import __version__
from spikeprune.commands import COMMANDS
from spikeprune.commands.base import Command, switch
from spikeprune.distributed.launch import speaks
from spikeprune.errors import ConfigError, DeadNetWarning, SpikePruneError, of_system
from spikeprune.lab.settings.flags import add_flags, explain
from spikeprune.lab.settings.recipes import recipe_names
from spikeprune.stop import ended_by, stop_of
from spikeprune.unexpected import unexpected

FAILED, USAGE = 1, 2

_DESCRIPTION = """\
Prune spiking neural networks, bring back what is critical, hand over a
smaller net with an honest account."""

_EPILOG = """\
`spikeprune COMMAND --help` lists the options of a command.

first steps:
  spikeprune run --recipe smoke     some seconds, no data needed
  spikeprune run --recipe demo      Fashion-MNIST, some minutes"""

_DEBUG = switch("debug", "show the traceback of an error")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with room for the longest flags, one line each on a wide terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # jsonargparse adds a second spelling, --name+, to every list.
        return re.sub(r", --\S+\+ .*", "", super()._format_action_invocation(action))


_COMMON = {"exit_on_error": False, "allow_abbrev": False, "formatter_class": _Help}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="spikeprune",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        version=__version__,
        usage="spikeprune COMMAND [options]",
        **_COMMON,
    )
    commands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_subcommand(name, _subparser(command), help=command.summary)
    return parser


def _subparser(command: Command) -> ArgumentParser:
    names = textwrap.fill(", ".join(recipe_names()), 76, break_on_hyphens=False)
    parser = ArgumentParser(
        usage=f"spikeprune {command.name} {command.usage}",
        description=command.description or command.summary,
        epilog=command.epilog.replace("RECIPES", textwrap.indent(names, "  ")),
        **_COMMON,
    )
    for argument in (*command.arguments, _DEBUG):
        parser.add_argument(argument.name, **argument.options)
    if command.configures:
        add_flags(parser)
    return parser


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide notes of other packages that no user can act on."""
    noisy = logging.getLogger("torch._library.triton")  # "Triton not available" on every CPU
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=category, module=r"(?!spikeprune)")
            # A run's display, its report and its metrics say so at its end.
            warnings.simplefilter("ignore", DeadNetWarning)
            # DistributedDataParallel warns of 1x1 convolutions, whose strides are ambiguous.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        noisy.setLevel(level)


def _fail(message: str, code: int) -> int:
    print(f"spikeprune: error: {message}", file=sys.stderr)
    return code


def _own_flags(name: str) -> dict[str, object]:
    """Return the type of each of a command's own flags, for messages."""
    arguments = COMMANDS[name].arguments if name in COMMANDS else ()
    flags = (one for one in arguments if one.name.startswith("--"))
    return {one.name.lstrip("-"): one.options.get("type", bool) for one in flags}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with arguments (without the program's name) and return its exit code.

    0: done; 1: failed; 2: wrong usage or options that cannot work; 130: interrupted; 143:
    terminated. An error is one message on standard error; `--debug` shows the traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        _parser().print_help(sys.stderr)
        return USAGE
    try:
        with _quiet():
            options = _parser().parse_args(arguments).as_dict()
            command = options["command"]
            COMMANDS[command].function(options[command])
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except BaseException as error:
        if interrupt := stop_of(error):
            return ended_by(interrupt)
        if "--debug" in arguments and not isinstance(error, ArgumentError):
            raise
        return _ended(error, arguments[0])
    return 0


def _ended(error: BaseException, command: str) -> int:
    """Say in one message what ended a command, and return its exit code."""
    if isinstance(error, ArgumentError):
        own = _own_flags(command)
        return _fail(explain(str(error), own), USAGE) if speaks() else USAGE
    if isinstance(error, SpikePruneError):
        return _fail(str(error), USAGE if isinstance(error, ConfigError) else FAILED)
    return _fail(of_system(error) or unexpected(error), FAILED)
