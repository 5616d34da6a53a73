"""`spikeprune search`: the cheapest net within some points of the dense net, by bisection.

Cheap is what the budget counts: weights, SynOps, channels, parameters or MACs.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from rich.console import Console
from rich.text import Text

from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.files import read_json, write_json
from spikeprune.lab.report.number_words import budget_name, percent, points
from spikeprune.lab.report.terminal import print_values
from spikeprune.lab.run.check import check, check_folder
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.search.bisection import propose
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.ranges import Range, check_ranges

_SCHEMA = 1
_FIRST = {"weight": 0.9, "channel": 0.5}
_KEYS = {
    "parameters": "parameters",
    "macs": "dense_macs_per_sample",
    "synops": "validation_synops_per_sample",
}
"""The measurement of a net that a budget limits; SynOps are those on data to choose by."""


@dataclass(frozen=True)
class Goal:
    """The goal of a search and its effort."""

    max_drop: float  # points of validation accuracy that may be lost against the dense net
    runs: Annotated[int, Range(1, 1000)] = 6  # largest number of sparsities to try
    seeds: Annotated[int, Range(1, 1000)] = 1  # runs per sparsity, whose mean drop decides

    def __post_init__(self) -> None:
        """Refuse a goal that makes no sense."""
        if not 0 < self.max_drop < 100:
            raise ConfigError(
                "expected max_drop above 0 and below 100 points of accuracy, got "
                f"{self.max_drop:g}; at 0 and below, chance alone would decide: 1.0 is usual"
            )
        check_ranges(self)


class Accuracies(TypedDict):
    """Accuracies of the two nets of a run, in [0, 1]."""

    dense: float
    pruned: float


class Trial(TypedDict):
    """One sparsity that was tried; if it was refused, `left` and the following are missing."""

    sparsity: float
    good_enough: bool
    refused: str | None
    left: NotRequired[float]
    dead: NotRequired[list[str]]
    drop: NotRequired[float]
    standard_error: NotRequired[float]
    within_noise: NotRequired[bool]
    validation_samples: NotRequired[int]
    validation_accuracy: NotRequired[list[Accuracies]]
    folders: NotRequired[list[str]]


class Choice(TypedDict):
    """The cheapest trial that is good enough, with the test accuracy of each seed."""

    sparsity: float
    left: float
    drop: float
    standard_error: float
    folders: list[str]
    test_accuracy: list[Accuracies]


class SearchResult(TypedDict):
    """The content of `search.json`."""

    schema: int
    budget: str
    max_drop: float
    seeds: list[int]
    tried: list[Trial]
    chosen: Choice | None


def search_folder(config: RunConfig) -> Path:
    """Return the folder of a search: `out`, or a name made of the searched options."""
    if config.out is not None:
        return config.folder
    return Path("runs") / f"search_{replace(config, sparsity=None).folder.name}"


def drop(pairs: Sequence[Accuracies], samples: int) -> tuple[float, float]:
    """Return the loss of accuracy and its standard error, in points.

    The error has two parts. The n validation samples are few: `sqrt(p (1 - p) / n)` for each of the
    two nets, an upper bound because their errors are correlated. Training is noisy: `s / sqrt(k)`
    over k seeds, unknown for one. More seeds do not lessen the first part: they share the samples.
    """
    losses = [pair["dense"] - pair["pruned"] for pair in pairs]
    spread = [sum(p * (1 - p) for p in (pair["dense"], pair["pruned"])) / samples for pair in pairs]
    noise = statistics.fmean(spread)
    if len(losses) > 1:
        noise += statistics.variance(losses) / len(losses)
    return 100 * statistics.fmean(losses), 100 * math.sqrt(noise)


def search(config: RunConfig, goal: Goal, *, display: Display | None = None) -> SearchResult:
    """Find the cheapest net within `goal.max_drop` points of the dense net, on validation data.

    The cost is that of the budget: of the trials that are good enough, the one with the smallest
    share of the dense net's cost is chosen, as measured on the finished nets. SynOps are those on
    validation data. A net that shows signs of being dead is never good enough.

    Every sparsity, that of `config` first, is an ordinary run; the same call resumes a search. Test
    accuracy is read at the end. `search.json` is written after every sparsity.

    Raises:
        ConfigError: a method that does not prune, data without validation samples, or options
            that no run could have.
        RunError: no sparsity that was tried is good enough, or the dense net is dead.
    """
    display = display or Silent()
    folder = search_folder(config)
    first = config.sparsity or _FIRST.get(config.granularity, 0.5)
    _check(config, first)
    seeds = list(range(config.seed, config.seed + goal.seeds))
    unit = config.budget_unit
    found = SearchResult(
        schema=_SCHEMA, budget=unit, max_drop=goal.max_drop, seeds=seeds, tried=[], chosen=None
    )
    verdicts: dict[float, bool] = {}
    while len(verdicts) < goal.runs and (sparsity := propose(verdicts, first)) is not None:
        display.message(
            f"search     {len(verdicts) + 1} of at most {goal.runs}: {_target(sparsity, unit)}"
        )
        trial = _try(replace(config, sparsity=sparsity), goal, folder, display=display)
        verdicts[sparsity] = trial["good_enough"]
        found["tried"].append(trial)
        write_json(folder / "search.json", found)
        display.message(f"search     {_outcome(trial, unit)}")
    found["chosen"] = _choose(found, folder, goal)
    write_json(folder / "search.json", found)
    return found


def _check(config: RunConfig, first: float) -> None:
    if not resolve(config).prunes:
        raise ConfigError(
            f"method {config.method!r} prunes nothing, so there is no sparsity to search; choose "
            "another --method"
        )
    check(replace(config, sparsity=first), folder=False)
    if not Session(config).data.validation.samples:
        raise ConfigError(
            f"the data {config.data!r} have no validation samples, and a sparsity must not be "
            "chosen on test data; return a `validation` loader from your data"
        )


def _try(config: RunConfig, goal: Goal, folder: Path, *, display: Display) -> Trial:
    assert config.sparsity is not None
    pairs, folders, samples = [], [], 0
    shares: list[float] = []
    dead: list[str] = []
    for seed in range(config.seed, config.seed + goal.seeds):
        out = folder / f"s{config.sparsity:.4f}_seed{seed}"
        one = replace(config, seed=seed, out=str(out))
        try:
            done = RunFolder(out).metrics.is_file() and RunFolder(out).report.is_file()
            if not (check_folder(one) and done):
                run(one, display=display)
        except BudgetError as error:  # floors or limits: no more can be removed
            return Trial(sparsity=config.sparsity, good_enough=False, refused=str(error))
        metrics = read_json(RunFolder(out).metrics)
        _require_living(metrics["dense"], out)
        pairs.append(_accuracies(metrics, "validation_accuracy"))
        samples = metrics["data"]["samples"]["validation"]
        shares.append(left_of(metrics, config.budget_unit))
        dead += metrics["pruned"].get("warnings", [])
        folders.append(out.name)
    lost, noise = drop(pairs, samples)
    return Trial(
        sparsity=config.sparsity,
        left=statistics.fmean(shares),
        dead=dead,
        drop=lost,
        standard_error=noise,
        good_enough=lost <= goal.max_drop and not dead,
        within_noise=abs(lost - goal.max_drop) <= noise,
        validation_samples=samples,
        validation_accuracy=pairs,
        folders=folders,
        refused=None,
    )


def left_of(metrics: Mapping[str, Any], unit: str) -> float:
    """Return the share of the dense net's cost that is left, in [0, 1] or above.

    Args:
        metrics: content of `metrics.json`.
        unit: of the budget: `weights`, `channels`, `parameters`, `macs` or `synops`.
    """
    dense, pruned = metrics["dense"], metrics["pruned"]
    if unit == "weights":
        return float(pruned["density"])
    if unit == "channels":
        before, after = (metrics["cut"][f"channels_{when}"] for when in ("before", "after"))
        return float(sum(after.values()) / sum(before.values()))
    key = _KEYS[unit]
    return float(pruned[key] / dense[key])


def _require_living(dense: Mapping[str, Any], folder: Path) -> None:
    signs = dense.get("warnings")
    if signs:
        raise RunError(
            f"the dense net of {folder} is no reference to lose accuracy against: {signs[0]}; "
            "train longer, or with another --optimizer.lr"
        )


def _target(sparsity: float, unit: str) -> str:
    return f"{percent(sparsity)} fewer {budget_name(unit)}"


def _accuracies(metrics: Mapping[str, Any], name: str) -> Accuracies:
    return Accuracies(dense=metrics["dense"][name], pruned=metrics["pruned"][name])


def _outcome(trial: Trial, unit: str) -> str:
    target = _target(trial["sparsity"], unit)
    if trial["refused"]:
        return f"{target} cannot be reached: {trial['refused']}"
    return (
        f"{target}: {percent(trial['left'])} of the dense net's {budget_name(unit)}, validation "
        f"drop {trial['drop']:.2f} ± {trial['standard_error']:.2f} points, {_verdict(trial)}"
    )


def _choose(found: SearchResult, folder: Path, goal: Goal) -> Choice:
    """Return the cheapest trial that is good enough; read its test accuracies."""
    tried, unit = found["tried"], found["budget"]
    good = [trial for trial in tried if trial["good_enough"]]
    if not good:
        lowest = min(trial["sparsity"] for trial in tried)
        raise RunError(
            f"none of {len(tried)} sparsities stays within --max-drop {goal.max_drop:g} of the "
            f"dense net; the lowest tried is {_target(lowest, unit)}. Allow a larger drop or more "
            "--runs, or train longer"
        )
    best = min(good, key=lambda trial: (trial["left"], -trial["sparsity"]))
    metrics = [read_json(RunFolder(folder / name).metrics) for name in best["folders"]]
    return Choice(
        sparsity=best["sparsity"],
        left=best["left"],
        drop=best["drop"],
        standard_error=best["standard_error"],
        folders=best["folders"],
        test_accuracy=[_accuracies(one, "test_accuracy") for one in metrics],
    )


def print_search(console: Console, found: SearchResult) -> None:
    """Print the trials of a search, then the choice and its test accuracy."""
    unit = budget_name(found["budget"])
    rows = [
        {
            f"fewer {unit}": percent(trial["sparsity"]),
            f"{unit} left": "–" if trial["refused"] else percent(trial["left"]),
            "validation drop": "–" if trial["refused"] else f"{trial['drop']:.2f}",
            "standard error": "–" if trial["refused"] else f"{trial['standard_error']:.2f}",
            "": _verdict(trial),
        }
        for trial in found["tried"]
    ]
    print_values(console, {"tried (points of accuracy)": rows})
    chosen, seeds = found["chosen"], len(found["seeds"])
    assert chosen is not None
    samples = {trial["validation_samples"] for trial in found["tried"] if not trial["refused"]}
    dense = statistics.fmean(one["dense"] for one in chosen["test_accuracy"])
    pruned = statistics.fmean(one["pruned"] for one in chosen["test_accuracy"])
    mean_of = f", mean of {seeds} seeds" if seeds > 1 else ", one seed"
    console.print(
        Text(
            f"\non {max(samples):,} validation samples; a difference within a standard error of "
            f"{found['max_drop']:g} points may be chance\n"
            f"chosen: {_target(chosen['sparsity'], found['budget'])}, "
            f"{percent(chosen['left'])} of the dense net's {unit}, validation drop "
            f"{chosen['drop']:.2f} ± {chosen['standard_error']:.2f} points. Test accuracy, read "
            f"only now: dense {percent(dense)}, pruned {percent(pruned)} "
            f"({points(pruned - dense)}){mean_of}.\n"
            f"runs: {', '.join(chosen['folders'])}"
        )
    )


def _verdict(trial: Trial) -> str:
    if trial["refused"]:
        return "cannot be reached"
    if trial["dead"]:
        return f"dead net: {trial['dead'][0]}"
    word = "good enough" if trial["good_enough"] else "too much"
    return f"{word}, within noise" if trial["within_noise"] else word
