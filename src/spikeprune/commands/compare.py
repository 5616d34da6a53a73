"""`spikeprune compare`: methods x sparsities x seeds x nets x data, as one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import SUPPRESS
from rich.console import Console

from spikeprune.commands.base import RECIPE, Argument, Command, Options, run_values
from spikeprune.errors import ConfigError
from spikeprune.lab.run.progress.display import make_display
from spikeprune.lab.settings.recipes import recipe_names

if TYPE_CHECKING:
    from spikeprune.lab.compare import Comparison


_DESCRIPTION = """\
Run every method at every sparsity with every seed, and write one table: mean
and spread, drop against the dense net of the same seed, operations, energy,
cost, and paired differences with their intervals. The dense net is trained
once per seed. The same command again goes on where it stopped and runs only
what is not finished; longer lists add to the grid. Several shells may work on
one grid.

A run's other options come from the recipe and from flags, as for
`spikeprune run`. Given folders of finished runs instead, it compares those and
runs nothing; given the folder of a comparison, it writes its results anew."""

_EPILOG = """\
examples:
  spikeprune compare --recipe smoke --sparsities '[0.8]' --seeds '[0, 1, 2]' \\
                     --methods '[dense, magnitude, criticality]' \\
                     --pairs '[[criticality, magnitude]]' --out runs/study
  spikeprune compare --recipe smoke --methods '[criticality]' \\
                     --variants '{mean: {method: criticality,
                                  criticality.space: mean}}' \\
                     --select validation --out runs/ablation
  spikeprune compare runs/one runs/other --out runs/two
  spikeprune compare runs/study

recipes (`spikeprune recipes` says what they run):
RECIPES"""


def _flag(name: str, kind: Any, metavar: str, text: str) -> Argument:
    return Argument(
        f"--{name}", {"type": kind, "default": SUPPRESS, "metavar": metavar, "help": text}
    )


_NAMED = dict[str, dict[str, Any]]
_PAIRS = list[list[str]]
_GRID = (
    _flag("methods", list[str], "[A,B]", "methods by name, see `spikeprune methods`"),
    _flag("variants", _NAMED, "{K: {..}}", "methods with options of their own, by a name of yours"),
    _flag("sparsities", list[float], "[X,Y]", "shares to remove (default: that of --sparsity)"),
    _flag("seeds", list[int], "[N,M]", "seeds, paired between methods (default: that of --seed)"),
    _flag("models", list[str], "[A,B]", "nets, if several"),
    _flag("data_sets", list[str], "[A,B]", "data sets, if several"),
    _flag("settings", _NAMED, "{K: {..}}", "options under which all methods run, by name"),
    _flag("pairs", _PAIRS, "[[A,B]]", "contrasts named beforehand: a minus b at the same seed"),
    _flag("explore", _PAIRS, "[[A,B]]", "further contrasts, corrected for being several"),
    _flag("select", str, "NAME", "accuracy that is shown (test | validation; default: test)"),
)
_MACHINE = (
    _flag("jobs", int, "N", "runs at once (default: one for every --threads cores)"),
    _flag("engine", str, "NAME", "who runs them: local | ray (default: local)"),
    _flag("ray_address", str, "NAME", "a running Ray cluster (default: Ray starts here)"),
    _flag("retries", int, "N", "how often Ray starts a killed run again (default: 2)"),
)
_RUNS = Argument(
    "runs",
    {
        **{"type": str, "nargs": "*", "default": [], "metavar": "FOLDER"},
        "help": "finished runs to compare, or the folder of one comparison",
    },
)
_OUT = Path("runs") / "comparison"


def _compare(options: Options) -> None:
    from spikeprune.lab.compare import load_comparison, write_results
    from spikeprune.lab.compare.output.terminal import print_comparison

    if options["runs"]:
        comparison, out = _of_folders(options["runs"], options)
        page = write_results(comparison, out)
    else:
        page = _run_grid(options)
        comparison = load_comparison(page.parent)
    print_comparison(Console(), comparison)
    print(f"page: {page}")


def _of_folders(folders: list[str], options: Options) -> tuple["Comparison", Path]:
    """Return the comparison of finished runs, or the one that lies in the only folder given."""
    from spikeprune.lab.compare import comparison_of_runs, load_comparison
    from spikeprune.lab.run_folder import ComparisonFolder

    only = ComparisonFolder(Path(folders[0]).expanduser())
    if len(folders) == 1 and only.config.is_file():
        return load_comparison(only.path), only.path
    pairs = [pair for name in ("pairs", "explore") for pair in options.get(name, ())]
    compared = comparison_of_runs(folders, explore=pairs, select=options.get("select", "test"))
    return compared, Path(options.get("out") or _OUT)


def _run_grid(options: Options) -> Path:
    from spikeprune.lab.compare import CompareConfig, compare

    config = CompareConfig.from_dict(_values(options))
    try:
        with make_display() as display:
            return compare(config, display)
    except KeyboardInterrupt:
        folder = config.folder.path
        raise KeyboardInterrupt(f"the same command goes on with the grid in {folder}") from None


def _values(options: Options) -> dict[str, Any]:
    """Return the fields of a `CompareConfig`: the grid's own, and the base run."""
    base = run_values(options)
    for name in ("data", "model"):
        lists = {"data": "data_sets", "model": "models"}
        several = options.get(lists[name])
        base.setdefault(name, several[0] if several else None)
        if base[name] is None:
            raise ConfigError(
                f"--{name} is missing; give it, or start from a recipe by --recipe "
                f"({', '.join(recipe_names())})"
            )
    grid = {a.name[2:]: options[a.name[2:]] for a in _GRID if a.name[2:] in options}
    machine = {a.name[2:]: options[a.name[2:]] for a in _MACHINE if a.name[2:] in options}
    one = {"sparsities": base.get("sparsity"), "seeds": base.get("seed")}
    single = {name: [value] for name, value in one.items() if value is not None}
    if "method" in options and not {"methods", "variants"} & options.keys():
        single["methods"] = [options["method"]]
    return single | grid | {"base": base, "out": base.get("out"), "machine": machine}


COMPARE = Command(
    "compare",
    _compare,
    "many runs as one fair table",
    "[FOLDER ...] [--recipe NAME|FILE] [--option ...]",
    (_RUNS, RECIPE, *_GRID, *_MACHINE),
    configures=True,
    description=_DESCRIPTION,
    epilog=_EPILOG,
)
