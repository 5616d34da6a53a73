"""The rows of `analysis.json`; keys, units and meanings are those of docs/analysis.md."""

from typing import Any, Literal, TypedDict

Findings = dict[str, Any]
"""Content of `analysis.json`, or its part about one run or about a pair."""

Kind = Literal["channel", "position"]
Correlation = Literal["criticality", "rate", "criticality_given_rate"]
FeatureMeasure = Literal["variance_train", "variance_test", "cosine"]

_Class = TypedDict("_Class", {"class": str})


class ClassChange(_Class):
    """Accuracy of a class in two nets."""

    before_accuracy: float | None
    after_accuracy: float | None
    change_in_points: float | None


class SynopsChange(TypedDict):
    """Synaptic operations per sample of a layer in two nets."""

    layer: str
    before: float | None
    after: float | None
    ratio: float | None


class RegrownLayer(TypedDict):
    """Regrowth of a layer over all events."""

    layer: str
    depth: float
    share_of_all: float
    share_of_regrown: float
    times_its_share: float
    regrown: int
    survival: float | None


class RegrowthFindings(TypedDict):
    """Regrowth of a run over all events."""

    unit: str
    events: int
    regrown: int
    survival_mean: float | None
    first_half: dict[str, float]
    layers: list[RegrownLayer]


class Correlations(TypedDict):
    """Mean entropy of a layer's channels in bits, and its rank correlations."""

    entropy: float
    criticality: float | None
    rate: float | None
    criticality_given_rate: float | None


class LayerEntropy(TypedDict):
    """Entropy, firing rate and criticality of a layer's channels."""

    layer: str
    channels: int
    firing_rate: float
    rates_above_half: int
    criticality: float
    criticality_to_rate: float | None
    channel: Correlations
    position: Correlations


class Entropy(TypedDict):
    """Entropy, firing rate and criticality of a net; `mean` is over layers, `channels` by layer."""

    samples: int
    mean: dict[Kind, dict[Correlation, dict[str, Any]]]
    layers: list[LayerEntropy]
    channels: dict[str, dict[str, list[float]]]


class ClassFeatures(_Class):
    """Features of a class: spread in both sets, and the cosine between their means."""

    variance_train: float | None
    variance_test: float | None
    cosine: float | None


class Features(TypedDict):
    """Features of a net by class."""

    neurons: list[str]
    features: int
    samples: dict[str, int]
    mean: dict[FeatureMeasure, float | None]
    classes: list[ClassFeatures]
