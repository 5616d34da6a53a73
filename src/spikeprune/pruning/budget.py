"""Budgets of an event: the cost that it allows, and the cost of what it left live."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from spikeprune.errors import ConfigError


@dataclass(frozen=True)
class BudgetUse:
    """How far an event used its budget; costs are in `unit`."""

    unit: str  # channels, parameters, macs or synops (per sample over all T)
    cost: float  # of the live weights or channels; at most `allowed`
    allowed: float
    total: float  # cost of the dense net, which the budget is a share of
    forced: Mapping[str, int] = field(default_factory=dict)  # channels kept by floors or rounding

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values that run folders and checkpoints hold."""
        values = asdict(self)
        return {"budget": values.pop("unit"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BudgetUse | None":
        """Return what `to_dict` gave; None for an empty mapping."""
        plain = dict(values)
        return cls(plain.pop("budget"), **plain) if plain else None


def floor_share(fraction: float, count: int) -> int:
    """Return floor(fraction x count) of the decimal fraction that was meant (0.29 x 100 is 29)."""
    return int(Fraction(fraction).limit_denominator(10**9) * count)


def check_reference(
    dense_synops: Mapping[str, float] | None, layers: Iterable[str], *, budget: str
) -> None:
    """Refuse SynOps of a dense net that leave out a layer, are all 0, or have no use."""
    if dense_synops is None:
        return
    if budget != "synops":
        raise ConfigError(f"dense_synops goes with a budget of synops, got one of {budget}")
    missing = [name for name in layers if name not in dense_synops]
    if missing or not sum(dense_synops.values()) > 0:
        what = f"nothing for {', '.join(missing)}" if missing else f"{dict(dense_synops)}"
        raise ConfigError(
            "expected dense_synops to give the SynOps per sample of every layer, some above 0, got "
            f"{what}; take them from spikeprune.evaluate: {{row.name: row.synops for row in "
            "metrics.layers}"
        )
