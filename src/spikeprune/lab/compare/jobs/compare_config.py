"""The configuration of a comparison: a base run and the lists whose product is the grid."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

from spikeprune.errors import ConfigError, RunError, require_one_of
from spikeprune.files import read_text
from spikeprune.lab.run_folder import ComparisonFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.yaml_values import build, parse_yaml
from spikeprune.ranges import Range, check_ranges

ENGINES = ("local", "ray")
SELECT = ("test", "validation")
Overrides = dict[str, Any]  # fields of a run; a dot leads into a mapping: `criticality.space`


@dataclass(frozen=True)
class Machine:
    """Where the runs are made; of the measurements only times depend on it."""

    jobs: Annotated[int, Range(1, 1024)] | None = None  # at once; None: one per `threads` cores
    engine: str = "local"  # `local` (processes of this machine) or `ray`
    ray_address: str | None = None  # of a running cluster; by default Ray starts here
    retries: Annotated[int, Range(0, 1000)] = 2  # how often Ray restarts a killed run


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """A comparison to make. Its grid: settings x (methods and variants) x sparsities x seeds."""

    base: RunConfig  # options of all runs; its method, sparsity, seed and out do not count
    methods: tuple[str, ...] = ()  # by name, see `spikeprune methods`
    variants: dict[str, Overrides] = field(default_factory=dict)  # options of further rows, by name
    sparsities: tuple[float, ...] = ()  # targets, fractions
    seeds: tuple[int, ...] = (0,)  # each has its own dense net
    models: tuple[str, ...] = ()  # by default that of the base
    data_sets: tuple[str, ...] = ()  # by default that of the base
    settings: dict[str, Overrides] = field(
        default_factory=dict
    )  # by name; replaces models and data_sets
    pairs: tuple[tuple[str, str], ...] = ()  # named beforehand, [a, b] for a minus b
    explore: tuple[tuple[str, str], ...] = ()  # exploratory contrasts
    select: str = (  # accuracy shown, `test` or `validation`: choose on validation
        "test"  # accuracy shown, `test` or `validation`: choose on validation, report test
    )
    mixed_teachers: bool = False  # whether runs with and without a teacher may be compared
    out: str | None = None  # by default a folder in runs/, named after data and net
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        """Reset the fields of the base that the grid sets; fill in its net and data set."""
        neutral = replace(self.base, method="dense", sparsity=None, seed=0, out=None)
        object.__setattr__(self, "base", neutral)
        if not self.settings:
            object.__setattr__(self, "models", self.models or (self.base.model,))
            object.__setattr__(self, "data_sets", self.data_sets or (self.base.data,))

    @property
    def folder(self) -> ComparisonFolder:
        """Folder of the comparison."""
        if self.out is not None:
            return ComparisonFolder(Path(self.out).expanduser())
        name = f"compare_{Path(self.base.data).name}_{self.base.model}"
        return ComparisonFolder(Path("runs") / name.replace(":", ".").replace("/", "."))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of methods and variants, in the order of the table."""
        return (*self.methods, *self.variants)

    def check(self) -> None:
        """Refuse lists that make no grid. Options of single cells are checked elsewhere."""
        self.check_lists()
        for pair in (*self.pairs, *self.explore):
            _refuse_twice("a pair", pair)
            for name in pair:
                require_one_of("method of a pair", name, self.labels)

    def check_lists(self) -> None:
        """Refuse as `check`, except pairs: they may name methods of earlier calls."""
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
        require_one_of("engine", self.machine.engine, ENGINES)
        require_one_of("select", self.select, SELECT)
        check_ranges(self.machine)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, as `from_dict` takes them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from nested plain values; fields left out keep their defaults."""
        return build(cls, values)

    @classmethod
    def load(cls, folder: ComparisonFolder) -> Self:
        """Read the configuration of a comparison; its folder may have been moved."""
        path = folder.config
        if not path.exists():
            raise RunError(
                f"expected the folder of a comparison, but {folder.path} has no {path.name}; give "
                "the --out of a `spikeprune compare`"
            )
        try:
            values = parse_yaml(read_text(path), str(path))
            return cls.from_dict(values | {"out": str(folder.path)})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _refuse_twice(name: str, values: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{name}: {value} is given twice; give it once")
        seen.add(value)
