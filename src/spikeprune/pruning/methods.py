"""Every pruning method, a row each: a composition of the same small parts.

The parts are fields of `PruneOptions`: what is dropped (saliency), what is brought back (regrow),
how much of it (regrow_fraction, fraction_schedule, fraction_of), where (regrow_within,
regrow_layers, allocation), when (schedule), and from where (initial_density, start_saliency).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from spikeprune.errors import ConfigError, unknown_name
from spikeprune.pruning.sources import SOURCES


@dataclass(frozen=True)
class Method:
    """A pruning method: saliency ranks what to drop, the regrowth score what to bring back."""

    name: str
    granularities: tuple[str, ...]
    """Where the method is defined; a name may have one row for weights and one for channels."""
    saliency: str | None
    """What is dropped first by its lowest value; None: nothing is pruned."""
    regrow: str = "none"
    """What is brought back by its highest value; `none`: nothing."""
    regrow_fraction: float = 0.0
    """Share r of the survivors that regrowth chooses, in [0, 1)."""
    _: KW_ONLY
    summary: str
    formula: str = ""
    """The rule in a line; symbols are those of docs/methods.md."""
    sources: tuple[str, ...] = ()
    """Keys of `pruning.sources.SOURCES`."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of `PruneOptions` that make the method, see `PARTS`; and `normalise`, which
    stands for a `criticality.normalise` that is none."""
    rewinds: bool = False
    """Whether it trains in rounds, each from the weights after the same early epochs."""

    @property
    def prunes(self) -> bool:
        """Whether the method removes anything: all but `dense` do."""
        return self.saliency is not None

    @property
    def source(self) -> str:
        """Its sources in short."""
        return "; ".join(SOURCES[key].short for key in self.sources)


WEIGHT, CHANNEL = ("weight",), ("channel",)
_CONSTANT = {"schedule": "constant", "start_saliency": "random", "allocation": "erk"}
_AT_START = {"schedule": "at-start"}
_RANKED = {"fraction_schedule": "cosine", "initial_value": "previous", "normalise": "layer"}

METHODS = (
    Method(
        *("dense", WEIGHT + CHANNEL, None),
        summary="no pruning: the net to compare with",
    ),
    Method(
        *("criticality", WEIGHT, "magnitude", "criticality", 0.2),
        summary="drop small weights, bring back those of the most critical channels",
        formula="drop min |w|; grow max S_post",
        sources=("criticality",),
    ),
    Method(
        *("criticality-ranked", WEIGHT, "magnitude", "criticality", 0.2),
        summary="as criticality, but ranked within each layer, of a share that falls to 0, and "
        "with the values that weights had; the default for weights",
        formula="drop min |w|; grow max rank_layer S_post, r_k = r (1 + cos(pi k/n)) / 2",
        sources=("criticality",),
        parts=_RANKED,
    ),
    Method(
        *("criticality-erk", WEIGHT, "magnitude", "criticality", 0.2),
        summary="as criticality-ranked, with as many weights in each layer as ERK gives it; the "
        "default under a budget of SynOps",
        formula="ERK; drop min |w|; grow max S_post in each layer, r_k = r (1 + cos(pi k/n)) / 2",
        sources=("criticality", "rigl"),
        parts=_RANKED | {"allocation": "erk"},
    ),
    Method(
        *("criticality-shuffled", WEIGHT, "magnitude", "criticality-shuffled", 0.2),
        summary="as criticality-ranked, but the scores are dealt to the layer's channels at "
        "random: the control",
        formula="drop min |w|; grow max rank_layer S_sigma(post), r_k = r (1 + cos(pi k/n)) / 2",
        sources=("criticality",),
        parts=_RANKED,
    ),
    Method(
        *("criticality-magnitude", WEIGHT, "magnitude", "criticality-magnitude", 0.2),
        summary="as criticality, but times the size that a weight had when it was last live",
        formula="drop min |w|; grow max S_post |w_last|",
        sources=("criticality",),
    ),
    Method(
        *("magnitude", WEIGHT, "magnitude"),
        summary="drop small weights, gradually, while training",
        formula="drop min |w|",
        sources=("cubic",),
    ),
    Method(
        *("random-regrow", WEIGHT, "magnitude", "random", 0.2),
        summary="drop small weights, bring back random ones",
        formula="drop min |w|; grow at random",
        sources=("cubic", "set"),
    ),
    Method(
        *("gradient-regrow", WEIGHT, "magnitude", "gradient", 0.2),
        summary="drop small weights, bring back those with the largest gradient",
        formula="drop min |w|; grow max |g|",
        sources=("cubic", "rigl"),
    ),
    Method(
        *("granet", WEIGHT, "magnitude", "gradient", 0.5),
        summary="drop gradually, then zero out a falling share of each layer and regrow as many",
        formula="drop min |w|; grow max |g| in each layer, r_k = r (1 + cos(pi k/n)) / 2",
        sources=("granet",),
        parts={"fraction_schedule": "cosine", "regrow_within": "layer", "regrow_layers": "all"},
    ),
    Method(
        *("rigl", WEIGHT, "magnitude", "gradient", 0.3),
        summary="sparse from the start, a falling share moves to where gradients are large",
        formula="ERK; drop min |w|; grow max |g|, r_k = r (1 + cos(pi k/n)) / 2",
        sources=("rigl",),
        parts=_CONSTANT | {"fraction_schedule": "cosine", "regrow_layers": "all"},
    ),
    Method(
        *("set", WEIGHT, "signed-magnitude", "random", 0.3),
        summary="sparse from the start, a fixed share moves to random places",
        formula="ERK; drop the least positive and least negative w; grow at random",
        sources=("set", "rigl"),
        parts=_CONSTANT | {"regrow_layers": "all"},
    ),
    Method(
        *("ndsnn", WEIGHT, "magnitude", "gradient", 0.5),
        summary="sparse from the start and ever sparser, fewer grown than dropped; reimplemented "
        "from its description",
        formula="ERK; keep (1 - r_k) of the live by |w|; grow max |g| up to d_k; r_k falls to r/10",
        sources=("ndsnn",),
        parts={
            **{"initial_density": 0.5, "start_saliency": "random", "allocation": "erk"},
            **{"fraction_schedule": "cosine-to-tenth", "fraction_of": "before"},
            **{"regrow_layers": "all"},
        },
    ),
    Method(
        *("imp", WEIGHT, "magnitude"),
        summary="train, drop a share, rewind the rest to early weights, again and again",
        formula="drop min |w| each round, d_j = d^(j/R); rewind to epoch k",
        sources=("lottery", "lottery-snn"),
        parts={"schedule": "geometric"},
        rewinds=True,
    ),
    Method(
        *("snip", WEIGHT, "snip"),
        summary="before training, keep the weights that matter to the loss",
        formula="keep max |g w|, g over all T",
        sources=("snip",),
        parts=_AT_START,
    ),
    Method(
        *("grasp", WEIGHT, "grasp"),
        summary="before training, keep the weights that carry the flow of gradients",
        formula="keep max w (H g)",
        sources=("grasp",),
        parts=_AT_START,
    ),
    Method(
        *("synflow", WEIGHT, "synflow"),
        summary="before training and without data, keep the weights that carry the flow of signal",
        formula="keep max |w| dR/d|w|, R of the linearised net, in 100 rounds",
        sources=("synflow",),
        parts=_AT_START,
    ),
    Method(
        *("crisis", WEIGHT, "crisis"),
        summary="drop weights that seldom decide whether a neuron fires",
        formula="drop min |w| r_pre |gamma| / sqrt(var + eps) N(0 | mu - u_th, sigma^2)",
        sources=("crisis",),
    ),
    Method(
        *("firing-rate", WEIGHT, "firing-rate"),
        summary="drop weights that carry little current",
        formula="drop min |w| r_pre",
        sources=("wanda",),
    ),
    Method(
        *("criticality", CHANNEL, "batchnorm-scale", "criticality", 0.05),
        summary="drop channels with a small BatchNorm scale, bring back the most critical",
        formula="drop min |gamma|; grow max S",
        sources=("criticality",),
    ),
    Method(
        *("slimming", CHANNEL, "batchnorm-scale"),
        summary="drop channels with a small BatchNorm scale",
        formula="drop min |gamma|",
        sources=("slimming",),
    ),
    Method(
        *("sca", CHANNEL, "mean-potential", "scale-gradient", 0.05),
        summary="drop channels with small potentials, bring back those whose scale has a gradient",
        formula="drop min mean |u|; grow max |dL/dgamma|",
        sources=("sca",),
    ),
    Method(
        *("firing-rate", CHANNEL, "firing-rate"),
        summary="drop channels that seldom fire",
        formula="drop min firing rate",
        sources=("trimming",),
    ),
    Method(
        *("random-regrow", CHANNEL, "batchnorm-scale", "random", 0.05),
        summary="drop channels with a small BatchNorm scale, bring back random ones: the control",
        formula="drop min |gamma|; grow at random",
    ),
    Method(
        *("random", CHANNEL, "random"),
        summary="drop random channels, bring none back: the control",
        formula="drop at random",
    ),
)
"""Every method; (name, granularity) tells a row."""


PARTS = (
    *("saliency", "allocation", "schedule", "initial_density", "start_saliency"),
    *("fraction_schedule", "fraction_of", "regrow_within", "regrow_layers", "initial_value"),
)
"""Fields that a method may set in its `parts` and a run may override by the flag of that name."""


_SOURCES_OF_PARTS = {
    ("regrow", "gradient"): "rigl",
    ("regrow", "random"): "set",
    ("regrow", "criticality"): "criticality",
    ("regrow", "criticality-magnitude"): "criticality",
    ("regrow", "criticality-shuffled"): "criticality",
    ("regrow", "crisis"): "crisis",
    ("regrow", "scale-gradient"): "sca",
    ("saliency", "crisis"): "crisis",
    ("saliency", "firing-rate"): "wanda",
    ("saliency", "signed-magnitude"): "set",
    ("saliency", "mean-potential"): "sca",
    ("saliency", "snip"): "snip",
    ("saliency", "grasp"): "grasp",
    ("saliency", "synflow"): "synflow",
    ("allocation", "erk"): "rigl",
    ("schedule", "cubic"): "cubic",
}


def find(name: str, granularity: str) -> Method:
    """Return the row of a method.

    Raises:
        ConfigError: No such method, or not for this granularity; the valid ones are listed.
    """
    for method in METHODS:
        if method.name == name and granularity in method.granularities:
            return method
    here = [m.name for m in METHODS if granularity in m.granularities]
    if name not in {m.name for m in METHODS}:
        raise unknown_name(f"method for {granularity} pruning", name, here)
    raise ConfigError(
        f"method {name!r} is not defined for {granularity} pruning; expected one of: "
        f"{', '.join(sorted(here))}"
    )


def sources_of(method: Method) -> tuple[str, ...]:
    """Return the keys of all sources that a method and its parts rest on, its own first."""
    weights = method.granularities == ("weight",)
    parts = {"saliency": method.saliency, "regrow": method.regrow, **method.parts}
    parts |= {} if "schedule" in parts or not (weights and method.prunes) else {"schedule": "cubic"}
    of_parts = [_SOURCES_OF_PARTS[row] for row in parts.items() if row in _SOURCES_OF_PARTS]
    return tuple(dict.fromkeys([*method.sources, *of_parts]))
