"""The configuration of a run: frozen dataclasses, read from and written to YAML."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from spikeprune.choices import OneOf
from spikeprune.data.augment import AUGMENTATIONS
from spikeprune.errors import ConfigError
from spikeprune.execution.forward import LAYOUTS
from spikeprune.execution.precision import PRECISIONS, resolve
from spikeprune.files import create_text, read_text, write_text
from spikeprune.lab.settings.two_budgets import as_one_budget
from spikeprune.lab.settings.yaml_values import build, dump_yaml, parse_yaml
from spikeprune.measuring.evaluate import InputOperands
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning import option_types
from spikeprune.pruning.methods import default_method
from spikeprune.ranges import SHARE, Range
from spikeprune.training.distillation import TEMPERATURES, WEIGHTS
from spikeprune.training.loop import LR_SCHEDULES
from spikeprune.training.losses import LOSSES

_AtLeastOne = Annotated[int, Range(1)]
_Count = Annotated[int, Range(0, 100_000)]
_Rate = Annotated[float, Range(0, 1e6)]  # torch computes in float32
_Positive = Annotated[float, Range(0, 1e6, open_low=True)]


@dataclass(frozen=True)
class Epochs:
    """How long each stage trains."""

    prune: _Count = 10
    """Epochs of pruning; for channels, of training with the L1 penalty."""
    finetune: _Count = 10
    """Epochs after the final density is reached."""
    dense: _Count | None = None
    """Epochs of the dense run; by default prune + finetune, to be fair."""

    @property
    def total(self) -> int:
        """Epochs of the pruned net: pruning and fine-tuning."""
        return self.prune + self.finetune


@dataclass(frozen=True)
class Optimizer:
    """Optimiser and learning-rate schedule."""

    name: Literal["sgd", "adamw"] = "sgd"
    """Optimiser."""
    lr: _Positive = 0.1
    """Peak learning rate."""
    momentum: Annotated[float, Range(0, 1, open_high=True)] = 0.9
    """Momentum of SGD."""
    weight_decay: _Rate = 1e-4
    """Weight decay."""
    schedule: Annotated[str, OneOf(lambda: LR_SCHEDULES)] = "cosine"
    """How the learning rate falls over all epochs."""
    clip_norm: _Positive | None = None
    """Clip the norm of the gradient to this."""


@dataclass(frozen=True)
class Teacher:
    """Distillation: the pruned net learns from the logits of the run's dense net."""

    weight: Annotated[float, WEIGHTS] = 0.0
    """Share of the teacher in the loss of the pruned net; the labels have the rest. 0: no
    teacher."""
    temperature: Annotated[float, TEMPERATURES] = 2.0
    """Temperature of the logits of both nets."""
    per_step: bool = False
    """Learn the logits of every time step, not their mean over time."""


@dataclass(frozen=True)
class Imp:
    """Iterative magnitude pruning: rounds of training, dropping and rewinding."""

    share: Annotated[float, SHARE] = 0.25
    """Share of the living weights that a round drops, at most; a hundredth of a round more where
    that saves one. The last round meets the target."""
    rounds: Annotated[int, Range(1, 1000)] | None = None
    """Rounds that drop, instead of as many as imp.share takes."""
    rewind: _Count | None = None
    """Epochs after which the weights are kept to rewind to; by default a fifteenth of a round."""
    budget: Literal["equal", "own"] = "equal"
    """Epochs of all rounds together: equal to those of other methods, or own: each round as many
    as those."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run of `spikeprune run`: data, net, method, target and training.

    Only `data` and `model` must be given here; `sparsity` has no default either, but the dense
    run does without it, so `spikeprune.lab.run.check.check` asks for it.
    """

    data: str
    """Data set by name (see `spikeprune data`), a folder, or module:callable."""
    data_root: str | None = None
    """Folder with local copies of the data, looked into first."""
    limit: _AtLeastOne | None = None
    """Train on at most this many samples."""
    validation: Annotated[float, SHARE] = 0.1
    """Share of the training set held out for validation."""
    augment: tuple[Annotated[str, OneOf(lambda: AUGMENTATIONS)], ...] = ()
    """Augmentations of the training batches."""
    image_size: Annotated[int, Range(1, 4096)] | None = None
    """Resize images to this height and width."""
    binning: Literal["duration", "count"] = "duration"
    """Frames of event recordings: equal duration, or equal count of events."""
    batch_size: _AtLeastOne = 128
    """Samples per optimiser step."""

    model: str
    """Net by name, such as vgg-small or resnet19-pre; or module:callable."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """The net's own arguments, such as --model_args.width 0.5."""
    weights: str | None = None
    """Checkpoint to prune: safetensors, or a plain state_dict."""
    time_steps: Annotated[int, Range(1, 10_000)] = 4
    """Time steps T."""
    neuron: Literal["lif", "if", "plif"] = "lif"
    """Neuron, of a net by name."""
    reset: Literal["hard", "soft"] = "hard"
    """Reset of the neuron, of a net by name."""
    preset: Literal["paper-weight", "paper-channel"] | None = None
    """The paper's neuron settings."""
    layout: Annotated[str, OneOf(lambda: LAYOUTS)] = "sequence"
    """How a net takes time: [T,B,...] at once, a step a call, or folded into B."""

    method: str = "auto"
    """Pruning method; see `spikeprune methods`. Auto is criticality-ranked for weights,
    criticality-erk under a budget of SynOps, and criticality, the paper's, for channels."""
    granularity: option_types.Granularity = "weight"
    """What is pruned."""
    sparsity: option_types.Share | None = None
    """Share to remove; yours to decide, so it has no default."""
    budget: option_types.WeightBudget = "weights"
    """Unit of the cost that sparsity is a share of in weight pruning: weights, or the dense net's
    synops or modelled energy. Two at once are their live shares, such as '{synops: 0.05, weights:
    0.1}'."""
    within: dict[str, float] = field(default_factory=dict)
    """A second budget that is met as well: the live share by unit, such as '{weights: 0.1}'."""
    floor: option_types.Floor | None = None
    """Share of what a uniform allocation would give it that every layer keeps; by default 0.2 under
    a budget of synops or energy, else 0."""
    regrow: option_types.Regrowth | None = None
    """What regrowth goes by, instead of the method's own score."""
    regrow_fraction: option_types.RegrowFraction | None = None
    """Share of the survivors chosen by regrowth, instead of the method's own."""
    allocation: option_types.Allocation | None = None
    """How the budget is spread over the layers, instead of the method's own."""
    schedule: option_types.Schedule | None = None
    """How sparsity grows over the pruning epochs, instead of the method's own."""
    every: option_types.Every | None = None
    """Optimiser steps between two pruning events (weights); by default about 15 events. Without
    effect where a method has its own: one-shot, at-start, imp."""
    gradient_batches: option_types.GradientBatches | None = None
    """Training steps before an event whose squared gradients fisher averages; by default 10, or as
    many as there are."""
    initial_value: option_types.InitialValue | None = None
    """Initial value of a returned weight, instead of the method's own."""
    rate_penalty: _Rate = 0.0
    """Added to the loss of the pruned net: this times the mean firing rate of its neurons."""
    synops_penalty: _Rate = 0.0
    """Added to the loss of the pruned net: this times its SynOps as a share of the dense net's."""
    start: Literal["init", "checkpoint"] | None = None
    """From where: checkpoint if weights are given, else init (from scratch)."""
    include: tuple[str, ...] = ()
    """Prune only layers that match a pattern, such as '[features.*]'."""
    exclude: tuple[str, ...] = ()
    """Leave alone layers that match a pattern."""
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest density by layer pattern."""
    extensions: tuple[str, ...] = ()
    """Modules of your own that register criteria, allocations or methods, such as '[mine]'."""

    saliency: option_types.Saliency | None = None
    """What is dropped first, instead of the method's own score."""
    fraction_schedule: option_types.FractionSchedule | None = None
    """How the regrown share changes over the events, instead of the method's own."""
    fraction_of: option_types.FractionOf | None = None
    """Whether it is a share of the weights live after or before an event, instead of the method's
    own."""
    regrow_within: option_types.RegrowWithin | None = None
    """Whether regrowth competes over the network or within each layer."""
    regrow_layers: option_types.RegrowLayers | None = None
    """Layers that take part in regrowth: those that feed spiking neurons, or all."""
    regrow_until: option_types.RegrowUntil | None = None
    """Whether regrowth ends with the pruning epochs or goes on to the end of the training."""
    initial_density: option_types.InitialDensity | None = None
    """Live share before the first step; below 1 the net starts sparse."""
    start_saliency: option_types.StartSaliency | None = None
    """What a net that starts sparse keeps, such as random or snip."""
    settled_below: option_types.Share | None = None
    """Share of the mask that may differ for an early-bird event."""
    gate_penalty: option_types.GatePenalty | None = None
    """Weight in the loss of the share of connections with open gates, of upr and upr-rate."""
    gate_lr: option_types.GateLr | None = None
    """Learning rate of the gates."""
    gate_cost: option_types.GateCost | None = None
    """What an open gate costs: connections, or the operands that were measured."""

    imp: Imp = field(default_factory=Imp)
    """Rounds of the method imp."""
    criticality: CriticalityOptions = field(default_factory=CriticalityOptions)
    """How criticality is measured."""
    channels: option_types.ChannelOptions = field(default_factory=option_types.ChannelOptions)
    """Options of channel pruning."""
    epochs: Epochs = field(default_factory=Epochs)
    """How long each stage trains."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """Optimiser and learning-rate schedule."""
    loss: Annotated[str, OneOf(lambda: LOSSES)] = "mean-logits"
    """Cross-entropy of the mean over time, or its mean over the steps."""
    teacher: Teacher = field(default_factory=Teacher)
    """What the pruned net learns from the dense net."""
    seed: Annotated[int, Range(0)] = 0
    """Seed of everything that is drawn."""
    curves: bool = False
    """Record training and test accuracy after every epoch, to be shown: nothing is chosen by it."""

    out: str | None = None
    """Run folder; by default one in runs/, named after what is run."""
    device: Annotated[str, OneOf(lambda: ("cpu", "cuda", "auto"))] = "cpu"
    """Where to train; auto takes cuda if there is one."""
    threads: Annotated[int, Range(1, 1024)] | None = None
    """CPU threads; by default as many as torch takes."""
    channels_last: bool = True
    """Memory layout that is usually faster on CPUs."""
    fuse: bool = True
    """Fused IF, LIF and PLIF neurons where they fit: same spikes, less time."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compiled kernels for fused neurons; auto: in trainings long enough to win back the wait."""
    precision: Annotated[str, OneOf(lambda: PRECISIONS)] = "auto"
    """Of training; auto is bf16 where device has instructions for it, else fp32."""
    static_first_layer: bool = True
    """Run layers ahead of the neurons once per static image, not T times: same results."""
    input_operands: InputOperands = "by-value"
    """Whether layers that read the input accumulate where it is 0 or 1, or always multiply."""

    def __post_init__(self) -> None:
        """Settle `method`, `start` and `precision`: a run goes on, anywhere, with these values."""
        if self.method == "auto":
            object.__setattr__(self, "method", default_method(self.granularity, self.budget))
        if self.start is None:
            object.__setattr__(self, "start", "checkpoint" if self.weights else "init")
        object.__setattr__(self, "precision", resolve(self.precision, self.device))

    @property
    def dense_epochs(self) -> int:
        """Epochs of the dense net: `epochs.dense`, else as many as the pruned net's."""
        if self.epochs.dense is not None:
            return self.epochs.dense
        return 0 if self.start == "checkpoint" else self.epochs.total  # it is the dense net itself

    @property
    def prunes_channels(self) -> bool:
        """Whether whole channels are pruned; they are cut before the net is fine-tuned."""
        return self.granularity == "channel"

    @property
    def has_teacher(self) -> bool:
        """Whether the pruned net learns from the dense net."""
        return self.teacher.weight > 0 and self.method != "dense"

    @property
    def budget_unit(self) -> str:
        """Unit of the cost that `sparsity` is a share of."""
        return self.channels.budget if self.prunes_channels else self.budget

    @property
    def has_budget_of_operations(self) -> bool:
        """Whether a budget is a share of the dense net's SynOps or energy."""
        return bool({self.budget_unit, *self.within} & set(option_types.OPERATIONS))

    @property
    def folder(self) -> Path:
        """The run folder: `out`, or a name made of what tells runs apart."""
        if self.out is not None:
            return Path(self.out).expanduser()
        parts = [Path(self.data).name, self.model, self.method, self.granularity]
        if self.sparsity is not None and self.method != "dense":
            parts.append(f"{self.sparsity:g}")
        name = "_".join([*parts, f"seed{self.seed}"])
        return Path("runs") / name.replace(":", ".").replace("/", ".")

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, as `from_dict` takes them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from nested plain values; fields left out keep their defaults."""
        return build(cls, as_one_budget(values))

    def save(self, path: Path, *, replace: bool = True) -> None:
        """Write all fields as YAML; without `replace`, only where there is no file."""
        write = write_text if replace else create_text
        write(path, dump_yaml(self.to_dict()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file that `save` or a person wrote."""
        try:
            return cls.from_dict(parse_yaml(read_text(path), str(path)))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differences(old: RunConfig, new: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the dotted fields in which two runs differ, as (old, new); `out` does not count."""
    before, after = _flat(old.to_dict()), _flat(new.to_dict())
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if name != "out" and before.get(name) != after.get(name)
    }
