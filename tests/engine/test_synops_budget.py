"""A budget of synaptic operations against counting them one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.engine.options import PruneOptions
from spikeprune.engine.synops_budget import SynopsCost, fit_budget
from spikeprune.engine.weight_pruning import prune_weights
from spikeprune.engine.wiring import Layer, Wiring
from spikeprune.errors import BudgetError

SHAPES = {"conv": (4, 2, 3, 3), "deep": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
RATES = {"n1": torch.tensor([0.0, 0.5, 0.25, 1.0]), "n2": torch.linspace(0.1, 0.6, 6)}
RATES["n3"] = torch.tensor([0.2, 0.4, 0.6, 0.8])
T = 3


def layer(name, feeds, sources, inputs, outputs):
    shapes = torch.Size(inputs), torch.Size(outputs)
    kind = "conv" if len(outputs) == 3 else "linear"
    return Layer(name, kind, feeds, sources, bool(sources), *shapes, norms=(), macs=1)


WIRING = Wiring(
    {
        "conv": layer("conv", ("n1",), (), (2, 5, 5), (4, 2, 2)),
        "deep": layer("deep", ("n3",), ("n1",), (4, 4, 4), (4, 2, 2)),  # 2 groups
        "hidden": layer("hidden", ("n2",), ("n3",), (16,), (6,)),
        "head": layer("head", (), ("n2",), (6,), (3,)),
    },
    {"n1": 4, "n2": 6, "n3": 4},
)
COST = SynopsCost(WIRING, RATES, T)


def counted(live):
    """The same cost, weight by weight."""
    total = 0.0
    for name, mask in live.items():
        for index in mask.nonzero().tolist():
            out, into = index[:2]
            if name == "conv":
                rate, positions = 1.0, 4
            elif name == "deep":
                rate, positions = float(RATES["n1"][2 * (out // 2) + into]), 4
            elif name == "hidden":
                rate, positions = float(RATES["n3"][into // 4]), 1
            else:
                rate, positions = float(RATES["n2"][into]), 1
            total += rate * positions * T
    return total


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def masks(seed, share):
    generator = torch.Generator().manual_seed(seed + 1)
    return {n: torch.rand(s, generator=generator) < share for n, s in SHAPES.items()}


@given(st.integers(0, 999), st.floats(0, 1))
def test_the_cost_is_that_of_every_live_weight(seed, share):
    live = masks(seed, share)
    assert COST(live) == pytest.approx(counted(live))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 999),
    st.floats(0.05, 1.0),
    st.sampled_from(["global", "uniform"]),
    st.sampled_from([0.0, 0.3]),
)
def test_the_density_found_is_the_largest_within_the_budget(seed, share, allocation, fraction):
    weights, live = tensors(seed), masks(seed, 0.9)
    weights = {n: w * live[n] for n, w in weights.items()}
    options = PruneOptions.of(sparsity=0.5, allocation=allocation, regrow_fraction=fraction)
    growth = {n: w.abs() + 1 for n, w in tensors(seed + 7).items()} if fraction else {}

    def choose(*, density):
        return prune_weights(weights, live, growth, density=density, options=options)

    density, details = fit_budget(choose, COST, live, share=share)
    size = sum(w.numel() for w in weights.values())
    count = round(density * size)
    everything = COST({n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()})
    assert details["total"] == pytest.approx(everything)
    assert details["allowed"] == pytest.approx(share * everything)
    assert details["cost"] == COST(choose(density=density).live) <= details["allowed"]
    alive = sum(int(m.sum()) for m in live.values())
    assert count <= alive
    if count < alive:  # one more weight would not fit
        assert COST(choose(density=(count + 1) / size).live) > details["allowed"]


def test_a_budget_below_a_single_weight_is_refused():
    weights = {n: w.abs() for n, w in tensors(0).items()}
    weights["conv"] += 10  # the dearest operations are the most salient weights
    live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    options = PruneOptions.of(sparsity=0.5, regrow="none")

    def choose(*, density):
        return prune_weights(weights, live, {}, density=density, options=options)

    with pytest.raises(BudgetError, match=r"a single live weight exceeds.*lower the sparsity"):
        fit_budget(choose, COST, live, share=1e-4)
