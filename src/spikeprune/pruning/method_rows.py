"""The table of methods: a row each composes them of values for fields of `PruneOptions`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from spikeprune.pruning.sources import SOURCES


@dataclass(frozen=True)
class Method:
    """A pruning method: saliency ranks what to drop, regrowth ranks what to bring back.

    Attributes:
        name: one name may have a row for weights and one for channels.
        granularities: `weight`, `channel` or both.
        saliency: criterion of what is dropped, the lowest first; None: nothing is pruned.
        regrow: criterion of what is brought back, the highest first; `none`: nothing.
        regrow_fraction: share r of the survivors that regrowth chooses, in [0, 1).
        summary: the method in a line.
        formula: its rule in a line; symbols are those of docs/methods.md.
        sources: keys of `pruning.sources.SOURCES`.
        parts: other fields of `PruneOptions` that make the method, of `PARTS`; and `normalise`,
            which stands for a `criticality.normalise` that is none.
        rewinds: whether it trains in rounds, each from the weights after the same early epochs.
    """

    name: str
    granularities: tuple[str, ...]
    _: KW_ONLY
    saliency: str | None = None
    regrow: str = "none"
    regrow_fraction: float = 0.0
    summary: str
    formula: str = ""
    sources: tuple[str, ...] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)
    rewinds: bool = False

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
_MARGINAL = {"allocation": "budget"}
_RANKED = {"fraction_schedule": "cosine", "initial_value": "previous", "normalise": "layer"}

# fmt: off
METHODS: list[Method] = [
    Method("dense", WEIGHT + CHANNEL,
           summary="no pruning: the net to compare with"),
    Method("criticality", WEIGHT, saliency="magnitude", regrow="criticality", regrow_fraction=0.2,
           summary="drop small weights, bring back those of the most critical channels",
           formula="drop min |w|; grow max S_post",
           sources=("criticality",)),
    Method("criticality-ranked", WEIGHT, saliency="magnitude", regrow="criticality",
           regrow_fraction=0.2,
           summary="as criticality, but ranked within each layer, of a share that falls to 0, and"
                   " with the values that weights had; the default for weights",
           formula="drop min |w|; grow max rank_layer S_post, r_k = r (1 + cos(pi k/n)) / 2",
           sources=("criticality",), parts=_RANKED),
    Method("criticality-erk", WEIGHT, saliency="magnitude", regrow="criticality",
           regrow_fraction=0.2,
           summary="as criticality-ranked, with as many weights in each layer as ERK gives it; "
                   "the default under a budget of SynOps",
           formula="ERK; drop min |w|; grow max S_post in each layer, "
                   "r_k = r (1 + cos(pi k/n)) / 2",
           sources=("criticality", "rigl"), parts=_RANKED | {"allocation": "erk"}),
    Method("criticality-shuffled", WEIGHT, saliency="magnitude", regrow="criticality-shuffled",
           regrow_fraction=0.2,
           summary="as criticality-ranked, but the scores are dealt to the layer's channels at "
                   "random: the control",
           formula="drop min |w|; grow max rank_layer S_sigma(post), r_k = r (1 + cos(pi k/n)) / 2",
           sources=("criticality",), parts=_RANKED),
    Method("criticality-magnitude", WEIGHT, saliency="magnitude", regrow="criticality-magnitude",
           regrow_fraction=0.2,
           summary="as criticality, but times the size that a weight had when it was last live",
           formula="drop min |w|; grow max S_post |w_last|",
           sources=("criticality",)),
    Method("magnitude", WEIGHT, saliency="magnitude",
           summary="drop small weights, gradually, while training",
           formula="drop min |w|",
           sources=("cubic",)),
    Method("random-regrow", WEIGHT, saliency="magnitude", regrow="random", regrow_fraction=0.2,
           summary="drop small weights, bring back random ones",
           formula="drop min |w|; grow at random",
           sources=("cubic", "set")),
    Method("gradient-regrow", WEIGHT, saliency="magnitude", regrow="gradient", regrow_fraction=0.2,
           summary="drop small weights, bring back those with the largest gradient",
           formula="drop min |w|; grow max |g|",
           sources=("cubic", "rigl")),
    Method("granet", WEIGHT, saliency="magnitude", regrow="gradient", regrow_fraction=0.5,
           summary="drop gradually, then move a falling share of each layer, to the end of the "
                   "training",
           formula="drop min |w|; grow max |g| in each layer to the end of the training, r_k falls "
                   "to 0.005",
           sources=("granet",),
           parts={"fraction_schedule": "cosine-to-0.005", "regrow_within": "layer",
                  "regrow_layers": "all", "regrow_until": "training",
                  "initial_value": "unchanged"}),
    Method("granet-zeroed", WEIGHT, saliency="magnitude", regrow="gradient", regrow_fraction=0.5,
           summary="as granet, but what comes back starts at 0, and regrowth ends with the pruning "
                   "phase",
           formula="drop min |w|; grow max |g| in each layer, r_k = r (1 + cos(pi k/n)) / 2",
           sources=("granet",),
           parts={"fraction_schedule": "cosine", "regrow_within": "layer", "regrow_layers": "all"}),
    Method("rigl", WEIGHT, saliency="magnitude", regrow="gradient", regrow_fraction=0.3,
           summary="sparse from the start, a falling share moves to where gradients are large",
           formula="ERK; drop min |w|; grow max |g|, r_k = r (1 + cos(pi k/n)) / 2",
           sources=("rigl",),
           parts=_CONSTANT | {"fraction_schedule": "cosine", "regrow_layers": "all",
                              "initial_value": "unchanged"}),
    Method("set", WEIGHT, saliency="signed-magnitude", regrow="random", regrow_fraction=0.3,
           summary="sparse from the start, a fixed share moves to random places",
           formula="ERK; drop the least positive and least negative w; grow at random",
           sources=("set", "rigl"), parts=_CONSTANT | {"regrow_layers": "all"}),
    Method("ndsnn", WEIGHT, saliency="magnitude", regrow="gradient", regrow_fraction=0.5,
           summary="sparse from the start and ever sparser, fewer grown than dropped; "
                   "reimplemented from its description",
           formula="ERK; keep (1 - r_k) of the live by |w|; grow max |g| up to d_k; r_k falls to "
                   "r/10",
           sources=("ndsnn",),
           parts={"initial_density": 0.5, "start_saliency": "random", "allocation": "erk",
                  "fraction_schedule": "cosine-to-tenth", "fraction_of": "before",
                  "regrow_layers": "all"}),
    Method("stds", WEIGHT, saliency="latent-magnitude",
           summary="train latent weights, of which the net has what exceeds a rising threshold",
           formula="w = sign(v) max(|v| - d, 0); drop min |v|, d its largest; densities by a sine",
           sources=("stds",), parts={"schedule": "sine"}),
    Method("upr", WEIGHT, saliency="gate",
           summary="train a gate for each weight, with a penalty on connections, and keep those of "
                   "the largest gates",
           formula="w = sigmoid(t m) v, loss + lambda sum c sigmoid(t m) / sum c, c connections; "
                   "keep max m",
           sources=("upr",)),
    Method("upr-rate", WEIGHT, saliency="gate",
           summary="as upr, but the penalty is on the operands that connections are measured to "
                   "read",
           formula="w = sigmoid(t m) v, loss + lambda sum c sigmoid(t m) / sum c, c operands; "
                   "keep max m",
           sources=("upr",), parts={"gate_cost": "operands"}),
    Method("early-bird", WEIGHT, saliency="magnitude",
           summary="drop small weights as soon as which ones these are has settled",
           formula="drop min |w| once five masks in a row differ by less than 2 %",
           sources=("early-bird", "lottery-snn"),
           parts={"schedule": "early-bird", "settled_below": 0.02}),
    Method("imp", WEIGHT, saliency="magnitude",
           summary="train, drop a share, rewind the rest to early weights, again and again",
           formula="drop min |w| each round, d_j = d^(j/R); rewind to epoch k",
           sources=("lottery", "lottery-snn"), parts={"schedule": "geometric"}, rewinds=True),
    Method("snip", WEIGHT, saliency="snip",
           summary="before training, keep the weights that matter to the loss",
           formula="keep max |g w|, g over all T",
           sources=("snip",), parts=_AT_START),
    Method("grasp", WEIGHT, saliency="grasp",
           summary="before training, keep the weights that carry the flow of gradients",
           formula="keep max w (H g)",
           sources=("grasp",), parts=_AT_START),
    Method("synflow", WEIGHT, saliency="synflow",
           summary="before training and without data, keep the weights that carry the flow of "
                   "signal",
           formula="keep max |w| dR/d|w|, R of the linearised net, in 100 rounds",
           sources=("synflow",), parts=_AT_START),
    Method("crisis", WEIGHT, saliency="crisis",
           summary="drop weights that seldom decide whether a neuron fires",
           formula="drop min |w| r_pre |gamma| / sqrt(var + eps) N(0 | mu - u_th, sigma^2)",
           sources=("crisis",)),
    Method("firing-rate", WEIGHT, saliency="firing-rate",
           summary="drop weights that carry little current",
           formula="drop min |w| r_pre",
           sources=("wanda",)),
    Method("lamp", WEIGHT, saliency="lamp",
           summary="drop weights that carry a small share of what is left of their layer; under a "
                   "budget of SynOps, for each SynOp",
           formula="drop min (w^2 / sum of w_v^2, |w_v| >= |w|) / c",
           sources=("lamp",), parts=_MARGINAL),
    Method("distortion", WEIGHT, saliency="distortion",
           summary="drop weights that carry a small share of the drive in their layer; under a "
                   "budget of SynOps, for each SynOp",
           formula="drop min (w^2 c / sum of w_v^2 c_v) / c", sources=("wanda",), parts=_MARGINAL),
    Method("wanda", WEIGHT, saliency="wanda",
           summary="drop weights that the membrane misses least, by their inputs as it filters "
                   "them; under a budget of SynOps, for each SynOp",
           formula="drop min (gain w)^2 E[(K x)^2] / c", sources=("wanda", "sbc"),
           parts=_MARGINAL),
    Method("sbc", WEIGHT, saliency="sbc",
           summary="once, at the end of the pruning epochs, drop weights and let the others make "
                   "up for them, by the error of the membrane",
           formula="drop min (gain w)^2 / [H^-1]_pp / c, then w_S = [H_SS]^-1 (H w)_S",
           sources=("sbc",), parts={"schedule": "one-shot", **_MARGINAL}),
    Method("taylor", WEIGHT, saliency="taylor",
           summary="drop weights whose loss would change the loss least; under a budget of SynOps, "
                   "for each SynOp",
           formula="drop min (w g)^2 / c", sources=("taylor",), parts=_MARGINAL),
    Method("fisher", WEIGHT, saliency="fisher",
           summary="drop weights whose loss would change the loss least, by the squares of the "
                   "gradients of several batches; under a budget of SynOps, for each SynOp",
           formula="drop min w^2 E[g^2] / c", sources=("fisher", "taylor"), parts=_MARGINAL),
    Method("spike-effect", WEIGHT, saliency="spike-effect",
           summary="drop weights that change few spikes of their neurons; under a budget of SynOps,"
                   " for each SynOp",
           formula="drop min |w| r_pre S_post / c", sources=("criticality", "wanda"),
           parts=_MARGINAL),
    Method("spike-effect-shuffled", WEIGHT, saliency="spike-effect-shuffled",
           summary="as spike-effect, but the criticalities are dealt to the layer's channels at "
                   "random: the control",
           formula="drop min |w| r_pre S_sigma(post) / c", sources=("criticality", "wanda"),
           parts=_MARGINAL),
    Method("criticality", CHANNEL, saliency="batchnorm-scale", regrow="criticality",
           regrow_fraction=0.05,
           summary="drop channels with a small BatchNorm scale, bring back the most critical",
           formula="drop min |gamma|; grow max S",
           sources=("criticality",)),
    Method("slimming", CHANNEL, saliency="batchnorm-scale",
           summary="drop channels with a small BatchNorm scale",
           formula="drop min |gamma|",
           sources=("slimming",)),
    Method("early-bird", CHANNEL, saliency="batchnorm-scale",
           summary="drop channels with a small BatchNorm scale as soon as which ones these are "
                   "has settled",
           formula="drop min |gamma| once five masks in a row differ by less than 10 %",
           sources=("early-bird", "slimming"), parts={"schedule": "early-bird"}),
    Method("sca", CHANNEL, saliency="mean-potential", regrow="scale-gradient", regrow_fraction=0.05,
           summary="drop channels with small potentials, bring back those whose scale has a "
                   "gradient",
           formula="drop min mean |u|; grow max |dL/dgamma|",
           sources=("sca",)),
    Method("firing-rate", CHANNEL, saliency="firing-rate",
           summary="drop channels that seldom fire",
           formula="drop min firing rate",
           sources=("trimming",)),
    Method("random-regrow", CHANNEL, saliency="batchnorm-scale", regrow="random",
           regrow_fraction=0.05,
           summary="drop channels with a small BatchNorm scale, bring back random ones: the "
                   "control",
           formula="drop min |gamma|; grow at random"),
    Method("random", CHANNEL, saliency="random",
           summary="drop random channels, bring none back: the control",
           formula="drop at random"),
]
# fmt: on
"""Every method; (name, granularity) tells a row."""
