"""`spikeprune compare`: methods x sparsities x seeds x nets x data, as one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from spikeprune.commands.base import (
    RECIPE,
    TRUST_CODE,
    Argument,
    Command,
    Options,
    flag,
    interruptible,
    positional,
    require_data_and_model,
    run_values,
)
from spikeprune.lab.run.progress.display import make_display

if TYPE_CHECKING:
    from spikeprune.lab.compare import Comparison


_DESCRIPTION = """\
Run every method at every sparsity with every seed, and write one table: mean
and spread, drop against the dense net of the same seed, operations, energy,
cost, and paired differences with their intervals. The dense net is trained
once per seed. The same command continues where it stopped and runs only the
unfinished runs; longer lists add to the grid. Several shells may work on one
grid.

A run's other options come from the recipe and from flags, as for
`spikeprune run`. With folders of finished runs instead, it compares those and
runs nothing; with the folder of a comparison, it writes the results again."""

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

recipes (`spikeprune recipes` describes them):
RECIPES"""


_NAMED = dict[str, dict[str, Any]]
_PAIRS = list[list[str]]
_GRID = (
    flag("methods", list[str], "[A,B]", "methods by name, see `spikeprune methods`"),
    flag("variants", _NAMED, "{K: {..}}", "methods with options of their own, by a name of yours"),
    flag("sparsities", list[float], "[X,Y]", "shares to remove (default: that of --sparsity)"),
    flag("seeds", list[int], "[N,M]", "seeds, paired between methods (default: that of --seed)"),
    flag("models", list[str], "[A,B]", "nets, if several"),
    flag("data_sets", list[str], "[A,B]", "data sets, if several"),
    flag("settings", _NAMED, "{K: {..}}", "options under which all methods run, by name"),
    flag("pairs", _PAIRS, "[[A,B]]", "contrasts named beforehand, a minus b at equal seeds"),
    flag("explore", _PAIRS, "[[A,B]]", "further contrasts, corrected for being several"),
    flag(
        "mixed_teachers", bool, "BOOL", "compare runs with and without a teacher (default: false)"
    ),
    flag("select", str, "NAME", "accuracy that is shown (test | validation; default: test)"),
)
_MACHINE = (
    flag("jobs", int, "N", "runs at once (default: one for every --threads cores)"),
    flag("engine", str, "NAME", "where they run: local | ray (default: local)"),
    flag("ray_address", str, "NAME", "a running Ray cluster (default: Ray starts here)"),
    flag("retries", int, "N", "how often Ray starts a killed run again (default: 2)"),
)
_FOLDERS = "finished runs to compare, or the folder of one comparison"
_RUNS = positional("runs", "FOLDER", _FOLDERS, nargs="*", default=[])
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
    """Return the comparison of finished runs, or the one in the only folder, and its folder."""
    from spikeprune.lab.compare import comparison_of_runs, load_comparison
    from spikeprune.lab.run_folder import ComparisonFolder

    only = ComparisonFolder(Path(folders[0]).expanduser())
    if len(folders) == 1 and only.config.is_file():
        return load_comparison(only.path), only.path
    pairs = [pair for name in ("pairs", "explore") for pair in options.get(name, ())]
    compared = comparison_of_runs(
        folders,
        explore=pairs,
        select=options.get("select", "test"),
        mixed_teachers=options.get("mixed_teachers", False),
    )
    return compared, Path(options.get("out") or _OUT)


def _run_grid(options: Options) -> Path:
    from spikeprune.lab.compare import CompareConfig, compare

    config = CompareConfig.from_dict(_grid_values(options))
    with interruptible("the grid", config.folder.path), make_display() as display:
        return compare(config, display)


def _grid_values(options: Options) -> dict[str, Any]:
    """Return the fields of a `CompareConfig`: those of the grid, the base run and the machine."""
    base = run_values(options)
    for name, several in (("data", "data_sets"), ("model", "models")):
        if name not in base and options.get(several):
            base[name] = options[several][0]
    require_data_and_model(base)
    one = {"sparsities": base.get("sparsity"), "seeds": base.get("seed")}
    values = {name: [value] for name, value in one.items() if value is not None}
    if "method" in options and not {"methods", "variants"} & options.keys():
        values["methods"] = [options["method"]]
    values |= _given(_GRID, options)
    return values | {"base": base, "out": base.get("out"), "machine": _given(_MACHINE, options)}


def _given(flags: tuple[Argument, ...], options: Options) -> dict[str, Any]:
    names = [one.name.removeprefix("--") for one in flags]
    return {name: options[name] for name in names if name in options}


COMPARE = Command(
    "compare",
    _compare,
    "many runs as one fair table",
    "[FOLDER ...] [--recipe NAME|FILE] [--option ...]",
    (_RUNS, RECIPE, TRUST_CODE, *_GRID, *_MACHINE),
    configures=True,
    description=_DESCRIPTION,
    epilog=_EPILOG,
)
