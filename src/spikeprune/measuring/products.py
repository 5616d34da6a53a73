"""Operations of the products that no layer module computes, such as attention, counted exactly."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.execution.products import Product, watching_products
from spikeprune.measuring.metrics import ProductMetrics
from spikeprune.measuring.synops import position_sums
from spikeprune.science.cost import (
    ROUNDING,
    conv_fan_out,
    conv_reads,
    matmul_synops,
    transposed_reads,
)
from spikeprune.wiring.wiring import Wiring


@dataclass
class _OneValue:
    """Whether all non-zero values of a factor, over all calls, are the same: spikes, or scaled."""

    low: Tensor | None = None
    high: Tensor | None = None

    def take(self, x: Tensor) -> None:
        if not x.numel():
            return
        x = x.detach()
        low = torch.where(x == 0, math.inf, x).amin()
        high = torch.where(x == 0, -math.inf, x).amax()
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)

    def holds(self) -> bool:
        if self.low is None or self.high is None or not bool(self.high > self.low):
            return not (self.low is not None and bool(self.low.isnan()))
        return bool(self.high - self.low <= ROUNDING * self.high.abs())


@dataclass
class _ProductCount:
    """One product of the code, summed over its calls."""

    name: str
    kind: str
    parameters: tuple[bool, bool]
    dense: int = 0
    synops: int | Tensor = 0
    factors: tuple[_OneValue, _OneValue] = field(default_factory=lambda: (_OneValue(), _OneValue()))

    def take(self, product: Product) -> None:
        for factor, x, fixed in zip(
            self.factors, (product.left, product.right), self.parameters, strict=True
        ):
            if not fixed:
                factor.take(x)
        self.dense += _dense(product)
        self.synops = self.synops + _synops(product)

    @property
    def operand(self) -> str:
        """'spikes' where a factor is spikes; a weight is none."""
        pairs = zip(self.factors, self.parameters, strict=True)
        spikes = any(factor.holds() for factor, fixed in pairs if not fixed)
        return "spikes" if spikes else "analog"


def _dense(product: Product) -> int:
    left, right = product.left, product.right
    if product.kind == "matmul":
        return left.numel() * right.shape[-1]
    transposed = product.geometry["transposed"]
    places = left.shape[2:].numel() if transposed else math.prod(product.output_size)
    return right.numel() * places * len(left)


def _synops(product: Product) -> Tensor:
    left, right = product.left.detach(), product.right.detach()
    if product.kind == "matmul":
        return matmul_synops(left, right)
    geometry = dict(product.geometry)
    transposed, groups = geometry.pop("transposed"), geometry.pop("groups")
    counts = position_sums(left, left.ndim - 1, lambda part: (part != 0).float()).double()
    read = transposed_reads if transposed else conv_reads
    reads = read(counts, right.shape[2:], output_size=product.output_size, **geometry)
    fan_out = (right != 0).sum(1) if transposed else conv_fan_out(right, groups)
    return (reads * fan_out).sum()


@dataclass
class ProductCounts:
    """Products of `counting_products`, by place in the code.

    A product is counted once for each term whose two factors are not zero. It is a sum of
    accumulates where one factor is spikes: 0, or one value whatever the call (a scale, such as
    that of dropout or of attention, is applied to the sum). Where both factors take several values,
    its terms are multiply-accumulates. This is how the energy of spiking attention is counted by
    Spikformer (Zhou et al., ICLR 2023) and Spike-driven Transformer (Yao et al., NeurIPS 2023),
    with the terms counted and not estimated from firing rates.
    """

    opaque: dict[str, None] = field(default_factory=dict)  # operators that cannot be counted
    _found: dict[tuple[Any, ...], _ProductCount] = field(default_factory=dict)

    def take(self, product: Product) -> None:
        """Add one product."""
        weight = product.right if product.parameters[1] else product.left
        parameter = weight.data_ptr() if any(product.parameters) else None
        # One function of PyTorch may compute several products, mostly of different sizes.
        sizes = product.part, product.left.shape[1:], product.right.shape[1:]
        key = (product.place, product.kind, product.parameters, parameter, sizes)
        if key not in self._found:
            found = _ProductCount(product.name, product.kind, product.parameters)
            self._found[key] = found
        self._found[key].take(product)

    def add_opaque(self, operator: str) -> None:
        """Note an operator that cannot be counted."""
        self.opaque[operator] = None

    def rows(self, samples: int) -> tuple[ProductMetrics, ...]:
        """Return the products per sample, in the order of their first call."""
        rows, seen = [], dict[str, int]()
        for one in self._found.values():
            number = seen[one.name] = seen.get(one.name, 0) + 1
            rows.append(
                ProductMetrics(
                    name=one.name if number == 1 else f"{one.name}#{number}",
                    operation=one.kind,
                    dense_macs=one.dense // samples,
                    synops=float(one.synops) / samples,
                    operand=one.operand,
                )
            )
        return tuple(rows)


@contextmanager
def counting_products(model: nn.Module, wiring: Wiring) -> Iterator[ProductCounts]:
    """Count the products outside of layers in every forward while active.

    A net whose trace met none is not watched, because watching slows it.
    """
    counts = ProductCounts()
    if not wiring.products:
        yield counts
        return
    with watching_products(model, wiring.layers, counts.take, counts.add_opaque):
        yield counts
