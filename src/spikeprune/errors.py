"""The package's errors; each message says what was expected, what came and what to do.

The command line turns a `SpikePruneError` into one message and a non-zero exit code.
"""

from collections.abc import Iterable


class SpikePruneError(Exception):
    """Base of every error that spikeprune raises on purpose."""


class ConfigError(SpikePruneError, ValueError):
    """An option, or a combination of options, that cannot work."""


class BudgetError(ConfigError):
    """A pruning target that floors, limits or the net itself make impossible."""


class ModelError(SpikePruneError, ValueError):
    """A model that cannot be pruned: no neurons, or weights that do not fit."""


class ObservationError(SpikePruneError, RuntimeError):
    """No recorded membrane potentials, or a wrong number of time steps."""


class DataError(SpikePruneError, ValueError):
    """Data that is missing, truncated, or does not fit the model."""


class RunError(SpikePruneError, RuntimeError):
    """A run that cannot start or continue (foreign output folder, NaN loss)."""


class BusyError(RunError):
    """Another process works on the same files."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> ConfigError:
    """Return the error for an unknown name, listing the valid ones."""
    return ConfigError(f"unknown {kind} {name!r}; expected one of: {', '.join(sorted(valid))}")


def missing_extra(package: str, extra: str, purpose: str) -> ConfigError:
    """Return the error for an optional package that is not installed, naming the extra."""
    return ConfigError(
        f"{purpose} needs the package {package!r}, which is not installed; "
        f"install it with: pip install 'spikeprune[{extra}]'"
    )


def require_one_of(kind: str, value: str, valid: Iterable[str]) -> None:
    """Raise a `ConfigError` that lists the valid names unless `value` is one of them."""
    if value not in valid:
        raise unknown_name(kind, value, valid)


def one_line(error: Exception) -> str:
    """Return the type and the first line of an error of foreign code."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
