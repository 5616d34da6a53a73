"""The rows of `analysis.json`; keys, units and meanings are those of docs/analysis.md."""

from typing import Any, TypedDict

Findings = dict[str, Any]
"""Content of `analysis.json`, or its part about one run or about a pair."""

ClassChange = TypedDict(
    "ClassChange",
    {
        "class": str,
        "before_accuracy": float | None,
        "after_accuracy": float | None,
        "change_in_points": float | None,
    },
)
"""Accuracy of a class in two nets."""


class SynopsChange(TypedDict):
    """Synaptic operations per sample of a layer in two nets."""

    layer: str
    before: float | None
    after: float | None
    ratio: float | None


class RegrowthFindings(TypedDict):
    """Regrowth of a run over all events."""

    unit: str
    events: int
    regrown: int
    survival_mean: float | None
    first_half: dict[str, float]
    layers: list[Findings]


class Entropy(TypedDict):
    """Entropy, firing rate and criticality of a net."""

    samples: int
    mean: dict[str, dict[str, dict[str, Any]]]  # by kind of entropy, then by correlation
    layers: list[Findings]
    channels: dict[str, dict[str, list[float]]]  # by layer, then by quantity


class Features(TypedDict):
    """Features of a net by class."""

    neurons: list[str]
    features: int
    samples: dict[str, int]
    mean: dict[str, float | None]
    classes: list[Findings]  # spread in both sets, and the cosine between their means
