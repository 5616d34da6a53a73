"""What the report's terms mean, and what to cite for a run."""

import re

from spikeprune.lab.record import Record

__all__ = ["DEFINITIONS", "citations"]

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Density, sparsity",
        "Density is the number of live weights over the number of prunable weights (convolution "
        "and linear) of the original net, also after channels were cut. Sparsity is 1 − density.",
    ),
    (
        "Criticality",
        "Of a channel: the derivative of the surrogate at the charged membrane potential minus "
        "the threshold, scaled to 1 at the threshold; mean over time, maximum over the map, mean "
        "over samples, unless the configuration says otherwise.",
    ),
    (
        "Kept, regrown",
        "At an event the weights (or channels) with the highest saliency are kept; of all others "
        "those with the highest regrowth score are brought back.",
    ),
    (
        "Survival",
        "Share of an event's regrown weights that are in the kept set of the next event. Being "
        "regrown again does not count. Undefined for the last event.",
    ),
    (
        "SynOps",
        "Synaptic operations counted exactly: every non-zero input times every non-zero weight "
        "that reads it, borders included, bias left out. Accumulations (ACs) where the graph "
        "makes the operand spikes, multiply-accumulations (MACs) elsewhere. Mean per sample of "
        "the test set, sum over all T time steps.",
    ),
    (
        "Energy",
        "A model, not a measurement: 4.6 pJ per MAC and 0.9 pJ per AC (45 nm, fp32), memory "
        "traffic left out.",
    ),
    (
        "Training FLOPs",
        "2 × MACs × T × batch × 3 (forward, gradient of the input, gradient of the weights) over "
        "all steps, plus scoring passes. The sparse-aware figure scales the first two by the "
        "density; dense kernels do not save them.",
    ),
    (
        "Latency",
        "Wall time of one forward pass of the net as it is stored, warmed up, median. Zeros in a "
        "dense tensor save no time; cut channels do.",
    ),
)
"""Terms of the report with their meaning."""

_PAPER = (
    "S. Chen, B. Liu, Z. Liu, H. You: Brain-Inspired Efficient Pruning: Exploiting Criticality in "
    "Spiking Neural Networks. arXiv 2311.16141.",
    "https://arxiv.org/abs/2311.16141",
)

_METHODS: dict[str, tuple[tuple[str, str], ...]] = {
    "granet": (
        (
            "S. Liu et al.: Sparse Training via Boosting Pruning Plasticity with "
            "Neuroregeneration. NeurIPS 2021.",
            "https://arxiv.org/abs/2106.10404",
        ),
    ),
    "rigl": (
        (
            "U. Evci, T. Gale, J. Menick, P. S. Castro, E. Elsen: Rigging the Lottery: Making All "
            "Tickets Winners. ICML 2020.",
            "https://arxiv.org/abs/1911.11134",
        ),
    ),
    "set": (
        (
            "D. C. Mocanu et al.: Scalable training of artificial neural networks with adaptive "
            "sparse connectivity inspired by network science. Nature Communications 9, 2018.",
            "https://arxiv.org/abs/1707.04780",
        ),
    ),
    "imp": (
        (
            "J. Frankle, M. Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable "
            "Neural Networks. ICLR 2019.",
            "https://arxiv.org/abs/1803.03635",
        ),
        (
            "Y. Kim et al.: Exploring Lottery Ticket Hypothesis in Spiking Neural Networks. "
            "ECCV 2022.",
            "https://arxiv.org/abs/2207.01382",
        ),
    ),
    "ndsnn": (
        (
            "S. Huang et al.: Neurogenesis Dynamics-inspired Spiking Neural Network Training "
            "Acceleration. DAC 2023.",
            "https://arxiv.org/abs/2304.12214",
        ),
    ),
}

_SOURCES = {"gradient-regrow": "rigl", "random-regrow": "set"}
"""Methods of ours whose score comes from a method of another name."""

_SLIMMING = (
    "Z. Liu et al.: Learning Efficient Convolutional Networks through Network Slimming (L1 on the "
    "scale of batch normalisation). ICCV 2017.",
    "https://arxiv.org/abs/1708.06519",
)
_CUBIC = (
    "M. Zhu, S. Gupta: To prune, or not to prune: exploring the efficacy of pruning for model "
    "compression (cubic schedule). 2017.",
    "https://arxiv.org/abs/1710.01878",
)
_COUNTING = (
    (
        "J. Yik et al.: NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms "
        "and Systems (synaptic operations).",
        "https://arxiv.org/abs/2304.04640",
    ),
    (
        "M. Horowitz: Computing's energy problem (and what we can do about it) (energy per "
        "operation). ISSCC 2014.",
        "https://doi.org/10.1109/ISSCC.2014.6757323",
    ),
)
_SPIKINGJELLY = (
    "W. Fang et al.: SpikingJelly: An open-source machine learning infrastructure platform for "
    "spike-based intelligence. Science Advances 9, 2023.",
    "https://arxiv.org/abs/2310.16620",
)
_DEPENDENCIES = (
    "G. Fang et al.: DepGraph: Towards Any Structural Pruning (channel surgery). CVPR 2023.",
    "https://arxiv.org/abs/2301.12900",
)


def citations(record: Record) -> list[tuple[str, str]]:
    """Return `(text, address)` of what a run rests on: paper, method, counting, libraries."""
    name = str(record.metrics["method"]).lower()
    words = re.split(r"[^a-z]+", _SOURCES.get(name, name))
    found = [_PAPER]
    found += [entry for word in words for entry in _METHODS.get(word, ())]
    if record.unit == "channels":
        found.append(_SLIMMING)
    elif re.search(r"^schedule:\s*['\"]?cubic", record.config, re.MULTILINE):
        found.append(_CUBIC)
    found += _COUNTING
    if "spikingjelly" in (record.metrics.get("versions") or {}):
        found.append(_SPIKINGJELLY)
    if record.metrics.get("cut"):
        found.append(_DEPENDENCIES)
    return found
