"""What a run works on: data, device, fresh models, loss, all as its configuration says."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune import data as datasets
from spikeprune import zoo
from spikeprune.adapters.base import Adapter
from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import cannot_compile, fuse
from spikeprune.data import Batches, Data
from spikeprune.distributed.launch import local_device
from spikeprune.errors import ConfigError, DataError, SpikePruneError, one_line, unknown_name
from spikeprune.execution.forward import forward
from spikeprune.execution.precision import autocast, has_bf16
from spikeprune.lab.run.compute import (
    channels_last,
    first_layers_run_once,
    place,
    static_obstacle,
    wants_compiling,
)
from spikeprune.lab.run.stages.batch_shares import turns
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.pruning.methods import Method
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.training.checkpoint import load_model_weights
from spikeprune.training.loop import make_optimizer
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring
from spikeprune.zoo.custom import build_model

_DIGITS = 8  # pixels a side


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is cuda where there is one.

    Of several processes on a machine each has a CUDA device of its own.

    Raises:
        ConfigError: another name than cpu, cuda or auto, or fewer CUDA devices than processes.
    """
    if name not in ("cpu", "cuda", "auto"):
        raise unknown_name("device", name, ("cpu", "cuda", "auto"))
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("device is cuda, but torch finds no CUDA device; use --device cpu")
    return local_device("cuda" if there and name != "cpu" else "cpu")


@dataclass(frozen=True)
class _Moved:
    """Batches on the device, images in the memory layout of the run."""

    batches: Batches
    device: torch.device
    channels_last: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.batches:
            x, y = x.to(self.device), y.to(self.device)
            yield channels_last(x) if self.channels_last else x, y


@dataclass(frozen=True)
class Session:
    """A configuration made concrete. Data are read when first asked for."""

    config: RunConfig

    @cached_property
    def device(self) -> torch.device:
        """Where the run computes."""
        return choose_device(self.config.device)

    @cached_property
    def data(self) -> Data:
        """The data set, split."""
        c = self.config
        try:
            return datasets.load(c.data, root=c.data_root, **self._data_options())
        except SpikePruneError:
            raise
        except Exception as error:
            if ":" not in c.data:
                raise
            raise DataError(f"data {c.data!r} failed: {one_line(error)}") from error

    def _data_options(self) -> dict[str, Any]:
        c = self.config
        names = ("batch_size", "time_steps", "seed", "validation", "augment", "image_size")
        options = {name: getattr(c, name) for name in (*names, "limit", "binning")}
        if c.data == "digits" and c.image_size is None and zoo.smallest_image(c.model) > _DIGITS:
            options["image_size"] = zoo.smallest_image(c.model)  # the stand-in fits every net
        return options

    def beside(self, config: RunConfig) -> "Session":
        """Return the session of another run; data that the two have in common are read once."""
        other = Session(config)
        same = (config.data, config.data_root) == (self.config.data, self.config.data_root)
        if same and other._data_options() == self._data_options():
            other.__dict__["data"] = self.data  # where the cached property keeps it
        return other

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        return len(self.data.train)

    @cached_property
    def example(self) -> Tensor:
        """One slice of input, `[1, C, H, W]`, zeros."""
        return torch.zeros(1, *self.data.info.shape, device=self.device)

    @property
    def test_inputs(self) -> Tensor:
        """At most 32 inputs of the test set, to compare nets on."""
        x, _ = next(iter(self.moved(self.data.test)))
        return x[:, :32] if x.dim() == 5 else x[:32]

    @cached_property
    def wiring(self) -> Wiring:
        """Which weights feed which neurons in the uncut net."""
        return trace(self._built(), self.example)

    @cached_property
    def macs_per_sample(self) -> int:
        """Dense multiply-accumulates of one sample over all T; the first layer counts T times."""
        return sum(layer.macs for layer in self.wiring.layers.values()) * self.config.time_steps

    @cached_property
    def weight_counts(self) -> dict[str, int]:
        """Weights of every convolution and linear layer of the uncut net, by layer."""
        model = self.fresh()
        return {
            n: model.get_submodule(n).get_parameter("weight").numel() for n in self.wiring.layers
        }

    @property
    def description(self) -> dict[str, Any]:
        """Name and arguments of the model."""
        return describe_model(self.config, self.data)

    def fresh(self) -> nn.Module:
        """Return the net initialised from the seed; torch's own generators stay as they were."""
        return self.placed(self._built())

    def _built(self) -> nn.Module:
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.config.seed)
            return build_model(**self.description).to(self.device)

    def model(self) -> nn.Module:
        """Return the net at its start: initialised from the seed, or the checkpoint's weights."""
        model = self.fresh()
        if self.config.weights is not None:
            load_model_weights(model, Path(self.config.weights).expanduser())
        return model

    def placed(self, model: nn.Module) -> nn.Module:
        """Return `model` on the run's device, made to compute as the configuration says."""
        hoisted = self.config.static_first_layer and not self.static_obstacle
        return place(model.to(self.device), self.config, hoisted=hoisted, compiled=self.compiled)

    @property
    def unfused(self) -> str:
        """Which neurons the fused kernels do not serve and why; empty if all are served."""
        report = fuse(self._built())
        return str(report) if self.config.fuse and report.left else ""

    @property
    def slow_precision(self) -> str:
        """Why the precision asked for is slow here; empty if it is not."""
        if self.config.precision != "bf16" or has_bf16(self.device):
            return ""
        return (
            f"precision bf16 without instructions for it on this device ({self.device.type}): the "
            "same results, but slower than --precision fp32"
        )

    @cached_property
    def static_obstacle(self) -> str:
        """Why the net's first layers cannot be run once; empty if they can, or need not."""
        c = self.config
        if not c.static_first_layer or ":" not in c.model or self.data.info.kind != "static":
            return ""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            model = build_model(**self.description).to(self.device)
        # Two samples: of one alone a view across time steps would be possible.
        return static_obstacle(model, self._run, torch.cat([self.example] * 2))

    @cached_property
    def runs_first_layer_once(self) -> bool:
        """Whether the layers that read the image run once per image, not T times."""
        static = self.data.info.kind == "static"
        return static and first_layers_run_once(self.fresh(), self.wiring, self._run, self.example)

    @cached_property
    def compiled(self) -> bool:
        """Whether the fused neurons are compiled: wanted and possible."""
        return self.wants_compiling and cannot_compile() is None

    @cached_property
    def wants_compiling(self) -> bool:
        """Whether compiled neurons are asked for or pay."""
        return wants_compiling(self.config, self.wiring, self.steps_per_epoch, self.device)

    def moved(self, batches: Batches) -> _Moved:
        """Return batches on the run's device and in its memory layout."""
        return _Moved(batches, self.device, self.config.channels_last)

    def forward(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return input -> logits [T, B, K] of `model`: in the run's precision while it trains.

        What is measured, in eval mode, is float32.
        """
        adapter = adapter_for(model)

        def run(x: Tensor) -> Tensor:
            with autocast(self.config.precision if model.training else "fp32", self.device):
                return self._run(model, x, adapter)

        return run

    def _run(self, model: nn.Module, x: Tensor, adapter: Adapter | None = None) -> Tensor:
        how: dict[str, Any] = {"time_steps": self.config.time_steps, "layout": self.config.layout}
        return forward(model, x, adapter=adapter, **how)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss by name."""
        return loss_by_name(self.config.loss)

    @cached_property
    def method(self) -> Method:
        """The pruning method, with the run's own options put in."""
        return resolve(self.config)

    @cached_property
    def prune_options(self) -> PruneOptions:
        """The complete options of the pruner."""
        return prune_options(self.config)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return a fresh optimiser for `model`."""
        o = self.config.optimizer
        return make_optimizer(
            model, o.name, lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay
        )

    def pruner(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        dense_synops: Mapping[str, float] | None = None,
    ) -> Pruner:
        """Return the run's pruner, attached to `model`; a budget of SynOps is one of the dense."""
        score: Iterable[Any] | None = self.moved(turns(self.data.score))
        rewinds = self.method.rewinds
        drops = rounds_of(self.config).event_steps(self.steps_per_epoch) if rewinds else None
        return Pruner(
            model,
            optimizer,
            self.example,
            time_steps=self.config.time_steps,
            total_steps=self.config.epochs.prune * self.steps_per_epoch,
            score_batches=score,
            layout=self.config.layout,
            seed=self.config.seed,
            events_at=drops,
            dense_synops=dense_synops,
            options=self.prune_options,
        )


def describe_model(config: RunConfig, data: Data) -> dict[str, Any]:
    """Return what rebuilds the model without training code: its name and arguments."""
    channels, height, width = data.info.shape
    task: dict[str, Any] = {
        "classes": len(data.info.classes),
        "in_channels": channels,
        "image_size": height if height == width else [height, width],
        "time_steps": config.time_steps,
    }
    if ":" not in config.model:
        task |= {"neuron": config.neuron, "reset": config.reset, "preset": config.preset}
    return {"name": config.model, "arguments": {**task, **config.model_args}}
