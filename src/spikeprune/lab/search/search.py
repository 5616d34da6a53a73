"""`spikeprune search`: the sparsest net within so many points of the dense one, by few runs.

The drop grows with sparsity, noise apart, and one number is sought: a bisection needs a run for
every halving of the bracket, and no model of the curve.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.files import read_json, write_json
from spikeprune.lab.report.number_words import percent, points
from spikeprune.lab.report.run_record import Row
from spikeprune.lab.report.terminal import print_values
from spikeprune.lab.run.check import check, check_folder
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.search.bisection import propose
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve

_SCHEMA = 1
_FIRST = {"weight": 0.9, "channel": 0.5}


@dataclass(frozen=True)
class Goal:
    """What is sought, and how hard.

    Attributes:
        max_drop: how much lower the validation accuracy may be than the dense net's, in points.
        runs: sparsities to try at most.
        seeds: runs per sparsity, from the configuration's seed on; their mean drop decides.
    """

    max_drop: float
    runs: int = 6
    seeds: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be sought."""
        if not 0 < self.max_drop < 100:
            raise ConfigError(
                "expected max_drop above 0 and below 100 points of accuracy, got "
                f"{self.max_drop:g}; at 0 and below, chance alone would decide: 1.0 is usual"
            )
        for name in ("runs", "seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"expected {name} of at least 1, got {getattr(self, name)}")


def search_folder(config: RunConfig) -> Path:
    """Return where a search keeps its runs: `out`, or a name made of what is searched."""
    if config.out is not None:
        return config.folder
    name = replace(config, sparsity=None).folder.name
    return Path("runs") / f"search_{name}"


def drop(pairs: Sequence[tuple[float, float]], samples: int) -> tuple[float, float]:
    """Return how much accuracy is lost, and its standard error, in points.

    The error has two parts: the validation samples are few, `sqrt(p (1 - p) / n)` for each of the
    two nets, as if they erred independently (they err alike, so it is less); and training is
    noisy, `s / sqrt(k)` over k seeds, unknown for one. Seeds share the samples, so more of them do
    not lessen the first part.

    Args:
        pairs: accuracy of dense and pruned net by seed, in [0, 1].
        samples: n, of the validation set.
    """
    losses = [dense - pruned for dense, pruned in pairs]
    spread = [sum(p * (1 - p) for p in pair) / samples for pair in pairs]
    noise = statistics.fmean(spread)
    if len(losses) > 1:
        noise += statistics.variance(losses) / len(losses)
    return 100 * statistics.fmean(losses), 100 * math.sqrt(noise)


def search(config: RunConfig, goal: Goal, *, display: Display | None = None) -> Row:
    """Find the sparsest net within `goal.max_drop` points of the dense net, on validation data.

    Every sparsity is an ordinary run in a folder under the search's; what is finished there is
    used again, so the same call goes on where it was stopped. Only validation accuracies are
    read; the test accuracy of the chosen run alone is read, once, at the end. `search.json` is
    written after every sparsity.

    Args:
        config: what to run; its sparsity, if any, is tried first.
        goal: what is sought.
        display: is told of progress.

    Returns:
        The content of `search.json`.

    Raises:
        ConfigError: a method that does not prune, data without validation samples, or options
            that no run could have.
        RunError: no sparsity that was tried is good enough.
    """
    display = display or Silent()
    folder = search_folder(config)
    first = config.sparsity or _FIRST.get(config.granularity, 0.5)
    _check(config, first)
    found: Row = {
        "schema": _SCHEMA,
        "max_drop": goal.max_drop,
        "seeds": [config.seed + k for k in range(goal.seeds)],
        "tried": [],
        "chosen": None,
    }
    verdicts: dict[float, bool] = {}
    while len(verdicts) < goal.runs and (sparsity := propose(verdicts, first)) is not None:
        display.message(
            f"search     {len(verdicts) + 1} of at most {goal.runs}: sparsity {percent(sparsity)}"
        )
        row = _try(replace(config, sparsity=sparsity), goal, folder, display=display)
        verdicts[sparsity] = row["good_enough"]
        found["tried"].append(row)
        write_json(folder / "search.json", found)
        display.message(f"search     {_verdict(row)}")
    found["chosen"] = _choose(found["tried"], folder, goal)
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


def _try(config: RunConfig, goal: Goal, folder: Path, *, display: Display) -> Row:
    """Run one sparsity with every seed, or take up what is finished."""
    pairs, folders, samples = [], [], 0
    for seed in range(config.seed, config.seed + goal.seeds):
        out = folder / f"s{config.sparsity:.4f}_seed{seed}"
        one = replace(config, seed=seed, out=str(out))
        try:
            if not (check_folder(one) and RunFolder(out).metrics.is_file()):
                run(one, display=display)
        except BudgetError as error:  # floors or limits: more cannot be removed
            return {"sparsity": config.sparsity, "good_enough": False, "refused": str(error)}
        metrics = read_json(RunFolder(out).metrics)
        pairs.append(tuple(metrics[net]["validation_accuracy"] for net in ("dense", "pruned")))
        samples = metrics["data"]["samples"]["validation"]
        folders.append(out.name)
    lost, noise = drop(pairs, samples)
    return {
        "sparsity": config.sparsity,
        "drop": lost,
        "standard_error": noise,
        "good_enough": lost <= goal.max_drop,
        "within_noise": abs(lost - goal.max_drop) <= noise,
        "validation_samples": samples,
        "validation_accuracy": [{"dense": dense, "pruned": pruned} for dense, pruned in pairs],
        "folders": folders,
        "refused": None,
    }


def _verdict(row: Row) -> str:
    if row["refused"]:
        return f"sparsity {percent(row['sparsity'])} cannot be reached: {row['refused']}"
    return (
        f"sparsity {percent(row['sparsity'])}: validation drop {row['drop']:.2f} ± "
        f"{row['standard_error']:.2f} points, {_words(row)}"
    )


def _choose(tried: list[Row], folder: Path, goal: Goal) -> Row:
    """Return the sparsest run that is good enough, with its test accuracy: read here, once.

    Raises:
        RunError: none is.
    """
    good = [row for row in tried if row["good_enough"]]
    if not good:
        lowest = min(row["sparsity"] for row in tried)
        raise RunError(
            f"none of {len(tried)} sparsities stays within --max-drop {goal.max_drop:g} of the "
            f"dense net; the lowest tried is {percent(lowest)}. Allow a larger drop or more "
            "--runs, or train longer"
        )
    best = max(good, key=lambda row: row["sparsity"])
    tests = []
    for name in best["folders"]:
        metrics = read_json(RunFolder(folder / name).metrics)
        tests.append({net: metrics[net]["test_accuracy"] for net in ("dense", "pruned")})
    return {
        **{key: best[key] for key in ("sparsity", "drop", "standard_error", "folders")},
        "test_accuracy": tests,
    }


def print_search(console: Console, found: Row) -> None:
    """Print the path of a search, then what was chosen and how it does on the test set."""
    rows = [
        {
            "sparsity": row["sparsity"],
            "validation drop": "–" if row["refused"] else f"{row['drop']:.2f}",
            "standard error": "–" if row["refused"] else f"{row['standard_error']:.2f}",
            "": _words(row),
        }
        for row in found["tried"]
    ]
    print_values(console, {"tried (points of accuracy)": rows})
    chosen, seeds = found["chosen"], len(found["seeds"])
    samples = {row["validation_samples"] for row in found["tried"] if not row["refused"]}
    means = {
        net: statistics.fmean(one[net] for one in chosen["test_accuracy"])
        for net in ("dense", "pruned")
    }
    many = f", mean of {seeds} seeds" if seeds > 1 else ", one seed"
    console.print(
        Text(
            f"\non {max(samples):,} validation samples; what is within a standard error of "
            f"{found['max_drop']:g} points may be chance\n"
            f"chosen: sparsity {percent(chosen['sparsity'])}, validation drop "
            f"{chosen['drop']:.2f} ± {chosen['standard_error']:.2f} points. Test accuracy, looked "
            f"at now only: dense {percent(means['dense'])}, pruned {percent(means['pruned'])} "
            f"({points(means['pruned'] - means['dense'])}){many}.\n"
            f"runs: {', '.join(chosen['folders'])}"
        )
    )


def _words(row: Row) -> str:
    if row["refused"]:
        return "cannot be reached"
    word = "good enough" if row["good_enough"] else "too much"
    return f"{word}, within noise" if row["within_noise"] else word
