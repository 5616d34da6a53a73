"""The scales of the experiments: nets, data, training, sparsities, seeds."""

from dataclasses import dataclass, field
from typing import Any

from spikeprune.errors import require_one_of
from spikeprune.lab.compare.jobs.compare_config import Overrides
from spikeprune.lab.settings.recipes import read_recipe


@dataclass(frozen=True)
class Setting:
    """Net, data and training, the same for all methods of a table."""

    name: str  # in tables and folders
    recipe: str  # name of a shipped recipe
    options: Overrides = field(default_factory=dict)  # replace fields of the recipe

    @property
    def values(self) -> dict[str, Any]:
        """Fields of a run; its method, sparsity and seed are replaced."""
        return {**read_recipe(self.recipe), **self.options}


@dataclass(frozen=True)
class Scale:
    """One size of all experiments."""

    name: str
    summary: str  # data, nets and effort, in a line
    evidence: str  # how far to trust its numbers
    weights: tuple[Setting, Setting]  # of figure 2; the first also of figures 3a, 4, 5 and 6
    channels: tuple[Setting, ...]  # the last also of figures 3b, 4 and 5
    tables: tuple[Setting, ...]  # of weight pruning; the first also of the cost
    target: float  # target sparsity of the figures
    sparsities: tuple[float, ...]  # of the table of weight pruning and of the cost
    share: float  # fraction of the channels to remove in the figures
    shares: tuple[float, ...]  # fractions of the channels to remove in the table
    fractions: tuple[float, ...]  # regrowth fractions r of figure 6
    imp: Overrides  # options of iterative magnitude pruning
    imp_round: int  # epochs of one of its rounds at its own budget; 300 in the original
    seeds: tuple[int, ...]  # by default
    samples: int  # largest number of training and of test samples for measurements on nets


_DIGITS: dict[str, Any] = {
    "limit": 200,
    "every": 3,
    "epochs": {"prune": 4, "finetune": 2},
    "optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 1e-4, "schedule": "cosine"},
}
_SMOKE_VGG = Setting("digits, vgg-small", "smoke", _DIGITS)
_SMOKE = Scale(
    "smoke",
    "scikit-learn's digits, two tiny nets, one seed; minutes on 2 cores",
    "Smoke: shows that it runs, no evidence.",
    weights=(
        _SMOKE_VGG,
        Setting(
            "digits, resnet19-pre of width 1 in 16",
            "smoke",
            _DIGITS
            | {
                "model": "resnet19-pre",
                "model_args": {"width": 0.0625},
                "time_steps": 2,
                "epochs": {"prune": 3, "finetune": 1},
            },
        ),
    ),
    channels=(
        Setting(
            "digits, vgg-small, channels",
            "smoke",
            _DIGITS
            | {
                "granularity": "channel",
                "loss": "per-step",
                "every": None,
                "criticality": {"score_on": "train-set"},
                "channels": {"floor": 2, "l1": 1e-4},
            },
        ),
    ),
    tables=(_SMOKE_VGG,),
    target=0.9,
    sparsities=(0.9, 0.95),
    share=0.5,
    shares=(0.5,),
    fractions=(0.05, 0.2, 0.5),
    imp={"imp.share": 0.5},
    imp_round=4,
    seeds=(0,),
    samples=1000,
)

_NARROW: dict[str, Any] = {
    "model": "resnet19-pre",
    "model_args": {"width": 0.125},
    "time_steps": 2,
    "limit": 10_000,
    "every": None,
}
_CPU_VGG = Setting("CIFAR-10, vgg-small", "cifar10-weights")
_CPU = Scale(
    "cpu",
    "CIFAR-10 and Fashion-MNIST, small nets, three seeds; hours on 2 cores",
    "Small nets and short trainings: exploratory, and no repetition of the paper's settings.",
    weights=(
        _CPU_VGG,
        Setting("CIFAR-10, resnet19-pre of width 1 in 8", "cifar10-weights", _NARROW),
    ),
    channels=(
        Setting("CIFAR-10, vgg-small, channels", "cifar10-channels"),
        Setting(
            "CIFAR-10, resnet19-pre of width 1 in 8, channels",
            "cifar10-channels",
            _NARROW | {"channels": {"budget": "channels", "floor": 2, "l1": 1e-4}},
        ),
    ),
    tables=(
        _CPU_VGG,
        Setting("Fashion-MNIST, vgg-small", "demo", {"epochs": {"prune": 5, "finetune": 3}}),
    ),
    target=0.9,
    sparsities=(0.9, 0.95),
    share=0.5,
    shares=(0.5, 0.7),
    fractions=(0.05, 0.1, 0.2, 0.5),
    imp={"imp.share": 0.5},
    imp_round=5,
    seeds=(0, 1, 2),
    samples=10_000,
)

_PAPER_RESNET = Setting("CIFAR-100, ResNet19", "paper-resnet19-weights")
_PAPER = Scale(
    "paper",
    "CIFAR-100, VGG16 and ResNet19, T 5, 500 epochs, three seeds; needs a GPU, and weeks on one",
    "The settings of the released scripts; a tenth of the training set is held out here.",
    weights=(Setting("CIFAR-100, VGG16", "paper-vgg16-weights"), _PAPER_RESNET),
    channels=(
        Setting("CIFAR-100, VGG16, channels", "paper-vgg16-channels"),
        Setting("CIFAR-100, ResNet19, channels", "paper-resnet19-channels"),
    ),
    tables=(_PAPER_RESNET,),
    target=0.9,
    sparsities=(0.9, 0.9569, 0.9813),
    share=0.658,
    shares=(0.658,),
    fractions=(0.05, 0.1, 0.2, 0.5),
    imp={},
    imp_round=300,
    seeds=(0, 1, 2),
    samples=10_000,
)

SCALES: dict[str, Scale] = {scale.name: scale for scale in (_SMOKE, _CPU, _PAPER)}


def scale_by_name(name: str) -> Scale:
    """Return a scale."""
    require_one_of("scale", name, SCALES)
    return SCALES[name]
