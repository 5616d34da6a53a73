"""Where the methods come from: one place for every citation."""

from typing import NamedTuple


class Source(NamedTuple):
    """A publication: a short form for tables, the full one for reports, and its address."""

    short: str
    text: str
    url: str


def _arxiv(short: str, number: str, text: str) -> Source:
    return Source(f"{short}, arXiv:{number}", text, f"https://arxiv.org/abs/{number}")


# fmt: off
SOURCES: dict[str, Source] = {
    "criticality": _arxiv("Chen et al. 2023", "2311.16141",
        "S. Chen, B. Liu, Z. Liu, H. You: Brain-Inspired Efficient Pruning: Exploiting Criticality "
        "in Spiking Neural Networks. arXiv 2311.16141."),
    "cubic": _arxiv("Zhu and Gupta 2017", "1710.01878",
        "M. Zhu, S. Gupta: To prune, or not to prune: exploring the efficacy of pruning for model "
        "compression (cubic schedule). 2017."),
    "set": _arxiv("Mocanu et al. 2018 (SET)", "1707.04780",
        "D. C. Mocanu et al.: Scalable training of artificial neural networks with adaptive sparse "
        "connectivity inspired by network science. Nature Communications 9, 2018."),
    "rigl": _arxiv("Evci et al. 2020 (RigL, ERK)", "1911.11134",
        "U. Evci, T. Gale, J. Menick, P. S. Castro, E. Elsen: Rigging the Lottery: Making All "
        "Tickets Winners. ICML 2020."),
    "lamp": _arxiv("Lee et al. 2021 (LAMP)", "2010.07611",
        "J. Lee, S. Park, S. Mo, S. Ahn, J. Shin: Layer-adaptive sparsity for the Magnitude-based "
        "Pruning. ICLR 2021."),
    "taylor": _arxiv("Molchanov et al. 2019", "1906.10771",
        "P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz: Importance Estimation for Neural "
        "Network Pruning. CVPR 2019."),
    "fisher": _arxiv("Theis et al. 2018 (Fisher pruning)", "1801.05787",
        "L. Theis, I. Korshunova, A. Tejani, F. Huszar: Faster gaze prediction with dense networks "
        "and Fisher pruning. 2018."),
    "falcon": _arxiv("Meng et al. 2024 (FALCON)", "2403.07094",
        "X. Meng, W. Chen, R. Benbaki, R. Mazumder: FALCON: FLOP-Aware Combinatorial Optimization "
        "for Neural Network Pruning. AISTATS 2024."),
    "granet": _arxiv("Liu et al. 2021 (GraNet)", "2106.10404",
        "S. Liu et al.: Sparse Training via Boosting Pruning Plasticity with Neuroregeneration. "
        "NeurIPS 2021."),
    "ndsnn": _arxiv("Huang et al. 2023 (NDSNN)", "2304.12214",
        "S. Huang et al.: Neurogenesis Dynamics-inspired Spiking Neural Network Training "
        "Acceleration. DAC 2023."),
    "stds": Source("Chen et al. 2022 (STDS)",
        "Y. Chen, Z. Yu, W. Fang, Z. Ma, T. Huang, Y. Tian: State Transition of Dendritic Spines "
        "Improves Learning of Sparse Spiking Neural Networks. ICML 2022.",
        "https://proceedings.mlr.press/v162/chen22ac.html"),
    "upr": Source("Shi et al. 2024 (UPR)",
        "X. Shi, J. Ding, Z. Hao, Z. Yu: Towards Energy Efficient Spiking Neural Networks: An "
        "Unstructured Pruning Framework. ICLR 2024.",
        "https://openreview.net/forum?id=eoSeaK4QJo"),
    "early-bird": _arxiv("You et al. 2020 (Early-Bird)", "1909.11957",
        "H. You et al.: Drawing Early-Bird Tickets: Towards More Efficient Training of Deep "
        "Networks. ICLR 2020."),
    "lottery": _arxiv("Frankle and Carbin 2019", "1803.03635",
        "J. Frankle, M. Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural "
        "Networks. ICLR 2019."),
    "lottery-snn": _arxiv("Kim et al. 2022", "2207.01382",
        "Y. Kim et al.: Exploring Lottery Ticket Hypothesis in Spiking Neural Networks. "
        "ECCV 2022."),
    "snip": _arxiv("Lee et al. 2019 (SNIP)", "1810.02340",
        "N. Lee, T. Ajanthan, P. H. S. Torr: SNIP: Single-shot Network Pruning based on Connection "
        "Sensitivity. ICLR 2019."),
    "grasp": _arxiv("Wang et al. 2020 (GraSP)", "2002.07376",
        "C. Wang, G. Zhang, R. Grosse: Picking Winning Tickets Before Training by Preserving "
        "Gradient Flow. ICLR 2020."),
    "synflow": _arxiv("Tanaka et al. 2020 (SynFlow)", "2006.05467",
        "H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli: Pruning neural networks without any "
        "data by iteratively conserving synaptic flow. NeurIPS 2020."),
    "crisis": _arxiv("Yao et al. 2023", "2305.12148",
        "M. Yao et al.: Probabilistic Modeling: Proving the Lottery Ticket Hypothesis in Spiking "
        "Neural Network. 2023."),
    "wanda": _arxiv("after Sun et al. 2023 (Wanda)", "2306.11695",
        "M. Sun, Z. Liu, A. Bair, J. Z. Kolter: A Simple and Effective Pruning Approach for Large "
        "Language Models (weight times size of its input). ICLR 2024."),
    "sbc": _arxiv("Shi et al. 2025 (SBC)", "2506.03996",
        "L. Shi, A. Li, B. Ward-Cherrier: Spiking Brain Compression: Post-Training Second-order "
        "Compression for Spiking Neural Networks. arXiv 2506.03996."),
    "trimming": _arxiv("after Hu et al. 2016 (APoZ)", "1607.03250",
        "H. Hu, R. Peng, Y.-W. Tai, C.-K. Tang: Network Trimming: A Data-Driven Neuron Pruning "
        "Approach towards Efficient Deep Architectures (share of zeros of a channel). 2016."),
    "slimming": _arxiv("Liu et al. 2017, Network Slimming", "1708.06519",
        "Z. Liu et al.: Learning Efficient Convolutional Networks through Network Slimming (L1 on "
        "the scale of batch normalisation). ICCV 2017."),
    "sca": _arxiv("Li et al. 2024 (SCA)", "2406.01072",
        "Y. Li et al.: Towards Efficient Deep Spiking Neural Networks Construction with Spiking "
        "Activity based Pruning. ICML 2024."),
    "neurobench": _arxiv("Yik et al., NeuroBench", "2304.04640",
        "J. Yik et al.: NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms "
        "and Systems (synaptic operations)."),
    "energy": Source("Horowitz 2014",
        "M. Horowitz: Computing's energy problem (and what we can do about it) (energy per "
        "operation). ISSCC 2014.",
        "https://doi.org/10.1109/ISSCC.2014.6757323"),
    "spikingjelly": _arxiv("Fang et al. 2023, SpikingJelly", "2310.16620",
        "W. Fang et al.: SpikingJelly: An open-source machine learning infrastructure platform for "
        "spike-based intelligence. Science Advances 9, 2023."),
    "depgraph": _arxiv("Fang et al. 2023, DepGraph", "2301.12900",
        "G. Fang et al.: DepGraph: Towards Any Structural Pruning (channel surgery). CVPR 2023."),
}
# fmt: on
"""Every publication that a method, a count or a part of the package rests on, by key."""

# fmt: off
SOURCES_OF_PARTS: dict[str, dict[str, str]] = {
    "regrow": {"gradient": "rigl", "random": "set", "criticality": "criticality",
               "criticality-magnitude": "criticality", "criticality-shuffled": "criticality",
               "crisis": "crisis", "scale-gradient": "sca"},
    "saliency": {"crisis": "crisis", "firing-rate": "wanda", "signed-magnitude": "set",
                 "mean-potential": "sca", "lamp": "lamp", "distortion": "wanda", "wanda": "sbc",
                 "sbc": "sbc", "latent-magnitude": "stds", "gate": "upr", "taylor": "taylor",
                 "fisher": "fisher", "spike-effect": "criticality", "snip": "snip",
                 "grasp": "grasp", "synflow": "synflow"},
    "allocation": {"erk": "rigl", "budget": "falcon"},
    "schedule": {"cubic": "cubic"},
}
# fmt: on
"""Keys of the publications behind the parts of a method, by field of `PruneOptions` and value."""
