"""What an event observes of the inputs of layers: operands, and inputs filtered over time."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from torch import nn

from spikeprune.measuring.filtered_inputs import FilteredInputs
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.pruning.criteria.inputs import Need, Observations
from spikeprune.wiring.wiring import Wiring

FILTERED: frozenset[Need] = frozenset({"filtered-inputs", "filtered-products"})
"""Observations of inputs that are filtered over time."""


def filtered_inputs(
    needs: AbstractSet[Need],
    model: nn.Module,
    wiring: Wiring,
    layers: Iterable[str],
    *,
    time_steps: int,
    train: bool,
) -> FilteredInputs | None:
    """Return what measures the filtered inputs of some layers, None where they are not needed.

    Raises:
        ModelError: as `FilteredInputs`.
    """
    if not FILTERED & needs:
        return None
    products = "filtered-products" in needs
    return FilteredInputs(
        model, wiring, layers, time_steps=time_steps, train=train, products=products
    )


def with_filtered(seen: Observations, measured: FilteredInputs | None) -> Observations:
    """Return observations with the means of what was measured. Collective."""
    if measured is None:
        return seen
    found = measured.compute()
    return replace(seen, products=found) if measured.products else replace(seen, filtered=found)


def with_operands(seen: Observations, counted: WeightOperands | None) -> Observations:
    """Return observations with the operands of every layer. Collective."""
    if counted is None:
        return seen
    operands, multiplying = counted.compute(seen.samples), counted.multiplying()
    return replace(seen, operands=operands, multiplying=multiplying)
