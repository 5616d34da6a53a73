"""Finished runs from any folders as cells of a comparison."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError
from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.cells import Cell, cell_of, config_of
from spikeprune.lab.compare.numbers.run_facts import word
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.run_folder import RunFolder

_COMPARED = ("method", "granularity", "data", "model", "time_steps")
_NOT_NAMED = (*_COMPARED, "sparsity", "seed", "out", "threads", "device", "data_root")


def cells_of_runs(folders: Sequence[Path | str]) -> list[Cell]:
    """Return finished runs as cells; a method's name gets the options in which its runs differ."""
    places = [RunFolder.existing(folder).path for folder in folders]
    for path, count in Counter(path.resolve() for path in places).items():
        if count > 1:
            raise ConfigError(f"{path} is given {count} times; give it once")
    records = [read_record(path) for path in places]
    configs = [config_of(record) for record in records]
    named = zip(places, records, configs, _labels(configs), strict=True)
    cells = [replace(cell_of(p, record, c), method=label) for p, record, c, label in named]
    seen: dict[tuple[Key, int], Cell] = {}
    for cell in cells:
        other = seen.setdefault((cell.key, cell.seed), cell)
        if other is not cell:
            raise ConfigError(
                f"{other.folder} and {cell.folder} are the same cell ({cell.method}, seed "
                f"{cell.seed}); give one of them"
            )
    return sorted(cells, key=lambda c: (c.setting, c.method != "dense"))


def _labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name per run: its method, and the options in which that method's runs differ."""
    flat = [_flat(config) for config in configs]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for options in flat:
        groups[tuple(map(options.get, _COMPARED))].append(options)
    granularities = defaultdict(set)
    for method, granularity, *_ in groups:
        granularities[method].add(granularity)
    labels = []
    for options in flat:
        method, granularity = options.get("method"), options.get("granularity")
        words = [f"{granularity}s"] if len(granularities[method]) > 1 else []
        group = groups[tuple(map(options.get, _COMPARED))]
        words += [
            f"{name} {'default' if value is None else word(value)}"
            for name, value in options.items()
            if name not in _NOT_NAMED and any(other.get(name) != value for other in group)
        ]
        labels.append(f"{method} ({', '.join(words)})" if words else str(method))
    return labels


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": below for key, below in value.items()}
        else:
            flat[name] = value
    return flat
