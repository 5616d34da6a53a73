"""The folder of a comparison: later calls may add to its grid, but not change what it means."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from spikeprune.errors import RunError
from spikeprune.files import write_text
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.run.locks import held
from spikeprune.lab.run_folder import DENSE_NETS, ComparisonFolder
from spikeprune.lab.settings.config import differences
from spikeprune.lab.settings.yaml_values import dump_yaml


def joined(config: CompareConfig) -> CompareConfig:
    """Return this call's configuration joined with the one in the folder; write nothing."""
    folder = config.folder
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path} is a file; give another --out for the comparison")
    if folder.config.is_file():
        old = CompareConfig.load(folder)
        _refuse_changes(old, config)
        config = _union(old, config, has_results=any(folder.cells.glob("*/metrics.json")))
    elif folder.path.is_dir() and _foreign(folder):
        raise RunError(
            f"{folder.path} holds files that are not a comparison; give an empty or new folder "
            "as --out"
        )
    config.check()
    return config


def _foreign(folder: ComparisonFolder) -> bool:
    """Whether a folder without a grid holds more than dense nets copied from another one."""
    copied = folder.cells.is_dir() and {p.name for p in folder.cells.iterdir()} <= {DENSE_NETS}
    expected = {folder.lock.name, folder.cells.name} if copied else {folder.lock.name}
    return not {p.name for p in folder.path.iterdir()} <= expected


def claim(config: CompareConfig) -> CompareConfig:
    """Write the joined configuration into the folder and return it."""
    folder = config.folder
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.lock.touch()
        with held(folder.lock, lambda: None):  # another process may be adding to the grid
            config = joined(config)
            write_text(folder.config, dump_yaml(config.to_dict()))
    except OSError as error:
        raise RunError(
            f"expected to write to {folder.path}, got: {error}; give another folder as --out"
        ) from error
    return config


def _refuse_changes(old: CompareConfig, new: CompareConfig) -> None:
    changed = differences(old.base, new.base)
    for kind in ("variants", "settings"):
        there, here = getattr(old, kind), getattr(new, kind)
        for name in sorted(there.keys() & here.keys()):
            if there[name] != here[name]:
                changed[f"{kind}.{name}"] = (there[name], here[name])
    if bool(old.settings) != bool(new.settings):
        changed["settings"] = (old.settings, new.settings)
    words = [f"{name}: {before} there, {now} now" for name, (before, now) in changed.items()]
    if words:
        raise RunError(
            f"{new.folder.path} holds a different comparison ({'; '.join(words)}); give another "
            "--out, or the same options to go on with that one"
        )


def _union(old: CompareConfig, new: CompareConfig, *, has_results: bool) -> CompareConfig:
    """Return both grids in one; with results new pairs, not named beforehand, are exploratory."""
    pairs = old.pairs if has_results else _both(old.pairs, new.pairs)
    explore = _both(old.explore, _both(new.pairs, new.explore))
    return replace(
        new,
        methods=_both(old.methods, new.methods),
        variants=old.variants | new.variants,
        sparsities=_both(old.sparsities, new.sparsities),
        seeds=_both(old.seeds, new.seeds),
        models=_both(old.models, new.models),
        data_sets=_both(old.data_sets, new.data_sets),
        settings=old.settings | new.settings,
        mixed_teachers=old.mixed_teachers or new.mixed_teachers,
        pairs=pairs,
        explore=tuple(pair for pair in explore if pair not in pairs),
    )


def _both(old: Iterable[Any], new: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*old, *new)))
