"""A comparison's folder: what lies there may be added to, and is never changed in meaning."""

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

_LISTS = ("methods", "sparsities", "seeds", "models", "data_sets")


def joined(config: CompareConfig) -> CompareConfig:
    """Return the configuration of this call joined with that of its folder; writes nothing.

    A later call may add to the lists. A pair that is added once there is a finished cell was not
    named beforehand, so it is one to explore.

    Raises:
        RunError: The folder holds something else: another base, another meaning of a name, or
            files that are no comparison.
        ConfigError: The two make no grid together.
    """
    folder = config.folder
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path} is a file; give another --out for the comparison")
    if folder.config.is_file():
        old = CompareConfig.load(folder)
        _refuse_changes(old, config)
        config = _union(old, config, named=not _has_results(folder))
    elif folder.path.is_dir() and _foreign(folder):
        raise RunError(
            f"{folder.path} holds files that are not a comparison; give an empty or new folder "
            "as --out"
        )
    config.check()
    return config


def _foreign(folder: ComparisonFolder) -> bool:
    """Whether a folder without a grid holds more than dense nets that were brought along."""
    brought = folder.cells.is_dir() and {p.name for p in folder.cells.iterdir()} <= {DENSE_NETS}
    expected = {folder.lock.name, folder.cells.name} if brought else {folder.lock.name}
    return not {p.name for p in folder.path.iterdir()} <= expected


def claim(config: CompareConfig) -> CompareConfig:
    """Write the joined configuration into the folder and return it.

    Raises:
        RunError: As `joined`, or the folder cannot be written.
    """
    folder = config.folder
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.lock.touch()
        with held(folder.lock, lambda: None):  # another shell may be adding to it
            config = joined(config)
            write_text(folder.config, dump_yaml(config.to_dict()))
    except OSError as error:
        raise RunError(
            f"expected to write to {folder.path}, got: {error}; give another folder as --out"
        ) from error
    return config


def _has_results(folder: ComparisonFolder) -> bool:
    return any(folder.cells.glob("*/metrics.json"))


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


def _union(old: CompareConfig, new: CompareConfig, *, named: bool) -> CompareConfig:
    """Return both grids in one; `named`: whether new pairs are still named beforehand."""
    pairs = _both(old.pairs, new.pairs) if named else old.pairs
    explore = _both(old.explore, _both(new.pairs, new.explore))
    lists: dict[str, Any] = {n: _both(getattr(old, n), getattr(new, n)) for n in _LISTS}
    return replace(
        new,
        variants=old.variants | new.variants,
        settings=old.settings | new.settings,
        pairs=pairs,
        explore=tuple(pair for pair in explore if pair not in pairs),
        **lists,
    )


def _both(old: Iterable[Any], new: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*old, *new)))
