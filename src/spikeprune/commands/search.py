"""`spikeprune search`: the cheapest net that loses few points of accuracy."""

from rich.console import Console
from rich.text import Text

from spikeprune.commands.base import (
    RECIPE,
    TRUST_CODE,
    Command,
    Options,
    configuration,
    flag,
    interruptible,
)
from spikeprune.errors import ConfigError
from spikeprune.lab.run.progress.display import make_display

_DESCRIPTION = """\
Find the net with the fewest weights (--budget synops: SynOps; channels: what
--channels.budget counts) whose validation accuracy is within --max-drop points
of the dense net's, in few runs: targets are bracketed, then halved. Takes the
options of `spikeprune run`; it starts at the sparsity of a recipe. Every
sparsity is an ordinary run in a folder under --out, and the same command
continues where it stopped. Test data do not influence the search; the test
accuracy of the chosen run is printed at the end."""

_MAX_DROP = "points of validation accuracy that may be lost; must be given"
_ARGUMENTS = (
    RECIPE,
    TRUST_CODE,
    flag("max-drop", float, "POINTS", _MAX_DROP, default=None),
    flag("runs", int, "N", "sparsities to try at most (default: 6)", default=6),
    flag("seeds", int, "N", "runs per sparsity, whose mean drop decides (default: 1)", default=1),
)


def _search(options: Options) -> None:
    if options["max_drop"] is None:
        raise ConfigError(
            "--max-drop is missing: say how many points of accuracy may be lost, as --max-drop 1.0"
        )
    if "sparsity" in options:
        raise ConfigError("a search chooses the sparsity itself; leave --sparsity out")
    config = configuration(options)
    from spikeprune.lab.search.search import Goal, print_search, search, search_folder

    goal = Goal(options["max_drop"], options["runs"], options["seeds"])
    folder = search_folder(config)
    with interruptible("the search", folder), make_display() as display:
        found = search(config, goal, display=display)
    print_search(Console(), found)
    Console().print(Text(f"search: {folder / 'search.json'}"), soft_wrap=True)


SEARCH = Command(
    "search",
    _search,
    "the cheapest net within a given loss of accuracy",
    "--max-drop POINTS [--recipe NAME] [--option value ...]",
    _ARGUMENTS,
    configures=True,
    description=_DESCRIPTION,
)
