"""What is compared: one base run and the lists that the grid is the product of."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from spikeprune.errors import ConfigError, RunError, unknown_name
from spikeprune.lab.run_folder import ComparisonFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.yaml_values import build, parse_yaml

ENGINES = ("local", "ray")
SELECT = ("test", "validation")
Overrides = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """Where the cells are run; nothing that is measured depends on it but times."""

    jobs: int | None = None
    """Cells at once; by default one for every core, or for every `threads` cores."""
    engine: str = "local"
    """Who runs the cells: processes of this machine, or Ray."""
    ray_address: str | None = None
    """Address of a running Ray cluster; by default Ray starts on this machine."""
    retries: int = 2
    """How often Ray starts a cell again whose worker was killed."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """One comparison. The grid: settings x (methods and variants) x sparsities x seeds."""

    base: RunConfig
    """What all runs share; its method, sparsity, seed and out do not count."""
    methods: tuple[str, ...] = ()
    """Methods by name, see `spikeprune methods`."""
    variants: dict[str, Overrides] = field(default_factory=dict)
    """Runs with options of their own, by the name they get in the table."""
    sparsities: tuple[float, ...] = ()
    """Shares to remove."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; each is a run of its own, with its own dense net."""
    models: tuple[str, ...] = ()
    """Nets, if more than that of the base."""
    data_sets: tuple[str, ...] = ()
    """Data sets, if more than that of the base."""
    settings: dict[str, Overrides] = field(default_factory=dict)
    """Options under which all methods are run, by name, in place of models and data_sets."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Contrasts named beforehand, [a, b] for a minus b."""
    explore: tuple[tuple[str, str], ...] = ()
    """Further contrasts, corrected for being several."""
    select: str = "test"
    """Accuracy that is shown: choose on validation, report test."""
    out: str | None = None
    """Folder of the comparison; by default one in runs/, named after data and net."""
    machine: Machine = field(default_factory=Machine)
    """Where the cells are run."""

    def __post_init__(self) -> None:
        """Take out of the base what the grid decides; name the one net and set there is."""
        neutral = replace(self.base, method="dense", sparsity=None, seed=0, out=None)
        object.__setattr__(self, "base", neutral)
        if not self.settings:
            object.__setattr__(self, "models", self.models or (self.base.model,))
            object.__setattr__(self, "data_sets", self.data_sets or (self.base.data,))

    @property
    def folder(self) -> ComparisonFolder:
        """Where everything goes."""
        if self.out is not None:
            return ComparisonFolder(Path(self.out).expanduser())
        name = f"compare_{Path(self.base.data).name}_{self.base.model}"
        return ComparisonFolder(Path("runs") / name.replace(":", ".").replace("/", "."))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of methods and variants, in the order of the table."""
        return (*self.methods, *self.variants)

    def check(self) -> None:
        """Refuse lists that make no grid; the cells themselves are checked one by one.

        Raises:
            ConfigError: Empty or doubled lists, a pair of unknown names, or an unknown choice.
        """
        self.check_lists()
        for pair in (*self.pairs, *self.explore):
            _refuse_twice("a pair", pair)
            for name in pair:
                if name not in self.labels:
                    raise unknown_name("method of a pair", name, self.labels)

    def check_lists(self) -> None:
        """Refuse what `check` refuses, but for pairs: they may name methods of earlier calls.

        Raises:
            ConfigError: Empty or doubled lists, or an unknown choice.
        """
        if not self.labels:
            raise ConfigError("nothing to compare; give --methods '[a, b]' or --variants")
        if not self.seeds:
            raise ConfigError("expected at least one seed, as --seeds '[0, 1, 2]'")
        for name in ("methods", "sparsities", "seeds", "models", "data_sets"):
            _refuse_twice(name, getattr(self, name))
        _refuse_twice("methods and variants", self.labels)
        if self.settings and (self.models or self.data_sets):
            raise ConfigError(
                "settings say which net and data; give --settings, or --models and --data_sets"
            )
        self._check_machine()

    def _check_machine(self) -> None:
        engine, select = self.machine.engine, self.select
        for name, value, valid in (("engine", engine, ENGINES), ("select", select, SELECT)):
            if value not in valid:
                raise unknown_name(name, value, valid)
        for name, number, least in (
            ("jobs", self.machine.jobs, 1),
            ("retries", self.machine.retries, 0),
        ):
            if number is not None and number < least:
                raise ConfigError(f"expected {name} of at least {least}, got {number}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, as `from_dict` takes them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from nested plain values; fields left out keep their defaults.

        Raises:
            ConfigError: An unknown key, or a value of the wrong type.
        """
        return build(cls, values)

    @classmethod
    def load(cls, folder: ComparisonFolder) -> Self:
        """Read the configuration of a comparison, wherever its folder lies now.

        Raises:
            RunError: There is none.
            ConfigError: It is not valid.
        """
        path = folder.config
        if not path.is_file():
            raise RunError(
                f"expected the folder of a comparison, but {folder.path} has no {path.name}; give "
                "the --out of a `spikeprune compare`"
            )
        try:
            values = parse_yaml(path.read_text(encoding="utf-8"), str(path))
            return cls.from_dict(values | {"out": str(folder.path)})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _refuse_twice(name: str, values: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{name}: {value} is given twice; give it once")
        seen.add(value)
