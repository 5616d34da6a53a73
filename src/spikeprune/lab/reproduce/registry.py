"""The figures and tables of the paper by name; a new one is a row of `_ROWS`."""

from collections.abc import Sequence

from spikeprune.errors import ConfigError, require_one_of
from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.reproduce import paper
from spikeprune.lab.reproduce.experiment import Experiment
from spikeprune.lab.reproduce.experiments import entropy, tables
from spikeprune.lab.reproduce.experiments import fig2_fig3a_fig6_regrowth as regrowth
from spikeprune.lab.reproduce.experiments import fig3b_fig4_fig5_features as features
from spikeprune.lab.reproduce.scales import Scale

ALL = "all"
_NUMBERS = "Its numbers: not available."
_IMP_EPOCHS = paper.imp_epochs(max(paper.ROUNDS.values()))
_SAVED = paper.saved(paper.PRUNING_EPOCHS, _IMP_EPOCHS)

_ROWS = (
    Experiment(
        "fig2",
        "Figure 2: regrowth criteria",
        (
            "Regrowth by criticality, by gradient, at random and GraNet; the dense net and pruning "
            "without regrowth as lines; VGG16 and ResNet19, CIFAR-100, 90 % (by its caption).",
            _NUMBERS,
        ),
        regrowth.fig2_runs,
        regrowth.fig2,
    ),
    Experiment(
        "fig3a",
        "Figure 3a: surrogate curves of the criticality",
        (
            "Dense net, baseline and the method under several surrogate functions; VGG16, "
            "CIFAR-100 (by its caption). Which functions: not available.",
            _NUMBERS,
        ),
        regrowth.fig3a_runs,
        regrowth.fig3a,
    ),
    Experiment(
        "fig3b",
        "Figure 3b: importance of the channels that only one net kept",
        (
            "Mean importance (|γ|, min-max over the net) of the channels that only one of two "
            "pruned nets kept, after fine-tuning.",
            _NUMBERS,
        ),
        features.fig3b_runs,
        features.fig3b,
    ),
    Experiment(
        "fig4",
        "Figure 4: features and training curves",
        (
            "Intra-cluster variance of last-layer spike counts, cosine of class means between "
            "training and test set, accuracy curves; VGG16 unstructured and ResNet19 structured.",
            _NUMBERS,
        ),
        features.fig4_runs,
        features.fig4,
        curves=True,
    ),
    Experiment(
        "fig5",
        "Figure 5: features by class",
        ("The quantities of figure 4 class by class.", _NUMBERS),
        features.fig4_runs,
        features.fig5,
        curves=True,
    ),
    Experiment(
        "fig6",
        "Figure 6: survival of regrown weights, and the regrowth fraction r",
        (
            "The figure was not seen. By the released scripts it probably shows the survival of "
            "regrown weights and the effect of r.",
            _NUMBERS,
        ),
        regrowth.fig6_runs,
        regrowth.fig6,
    ),
    Experiment(
        "table-unstructured",
        "Table: pruning of weights",
        (
            "One table is known: CIFAR-100, ResNet19, about 95 %; it stands beside ours below. "
            "Whether its accuracies include fine-tuning epochs, and all other tables: not "
            "available.",
        ),
        tables.unstructured_runs,
        tables.table_unstructured,
    ),
    Experiment(
        "table-structured",
        "Table: pruning of channels",
        ("Parameters, operations and accuracy by method and share of channels.", _NUMBERS),
        tables.structured_runs,
        tables.table_structured,
    ),
    Experiment(
        "cost",
        "Pruning cost",
        (
            f"“Up to 95.26 % less” pruning cost (abstract). 1 − {paper.PRUNING_EPOCHS}/"
            f"{_IMP_EPOCHS} epochs gives {100 * _SAVED:.2f} %: its pruning epochs alone, against "
            "all of IMP's.",
        ),
        tables.cost_runs,
        tables.cost,
    ),
    Experiment(
        "entropy",
        "Is criticality about entropy?",
        (
            "The abstract explains criticality by the maximum of feature information entropy. The "
            "derivation, and numbers: not available.",
        ),
        entropy.entropy_runs,
        entropy.entropy,
    ),
)

EXPERIMENTS: dict[str, Experiment] = {row.name: row for row in _ROWS}


def chosen(names: Sequence[str]) -> list[Experiment]:
    """Return experiments by name, each once and in the order of the registry; `all` means all."""
    if not names:
        raise ConfigError(f"nothing to reproduce; give {ALL}, or some of: {', '.join(EXPERIMENTS)}")
    for name in names:
        require_one_of("experiment", name, (ALL, *EXPERIMENTS))
    return [one for one in EXPERIMENTS.values() if ALL in names or one.name in names]


def curved(scale: Scale) -> frozenset[Key]:
    """Return the keys of the runs that record the accuracies of every epoch."""
    return frozenset(run.key for one in _ROWS if one.curves for run in one.runs(scale))
