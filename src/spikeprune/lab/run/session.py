"""The data, device, nets, loss and optimiser of a run, made from its configuration."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune import data as datasets
from spikeprune import zoo
from spikeprune.adapters.speedups import FuseReport, cannot_compile, fuse
from spikeprune.data import Data
from spikeprune.data.random_states import unmoved
from spikeprune.distributed.launch import local_device
from spikeprune.errors import ConfigError, DataError, SpikePruneError, one_line, unknown_name
from spikeprune.execution.forward import forward
from spikeprune.execution.memory_format import channels_last_is_safe
from spikeprune.execution.precision import autocast
from spikeprune.lab.run import compute
from spikeprune.lab.run.identity.identity import Identity, identify
from spikeprune.lab.run.stages.batch_shares import turns
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.lab.settings.without_effect import Facts, without_effect
from spikeprune.pruning.method_rows import Method
from spikeprune.pruning.pruner import Pruner
from spikeprune.training.loop import make_optimizer
from spikeprune.training.losses import loss_by_name
from spikeprune.training.weights_file import load_weights
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring
from spikeprune.zoo.custom import build_model

_DIGITS = 8  # pixels a side


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is this process's CUDA device if there is one."""
    if name not in ("cpu", "cuda", "auto"):
        raise unknown_name("device", name, ("cpu", "cuda", "auto"))
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("device is cuda, but torch finds no CUDA device; use --device cpu")
    return local_device("cuda" if there and name != "cpu" else "cpu")


@dataclass(frozen=True)
class _Facts:
    """Facts about the uncut net, taken from one net that is thrown away."""

    wiring: Wiring
    weight_counts: dict[str, int]
    fused: FuseReport
    channels_last_is_safe: bool


@dataclass(frozen=True)
class Session:
    """The objects that a run works with. Data are read when they are first needed."""

    config: RunConfig
    loaded: Data | None = None  # that another session has read already

    @cached_property
    def device(self) -> torch.device:
        """Where the run computes."""
        return choose_device(self.config.device)

    @cached_property
    def data(self) -> Data:
        """The data set, split."""
        if self.loaded is not None:
            return self.loaded
        c = self.config
        try:
            return datasets.load(c.data, **self._data_options())
        except Exception as error:
            if isinstance(error, SpikePruneError) or ":" not in c.data:
                raise
            raise DataError(f"data {c.data!r} failed: {one_line(error)}") from error

    @cached_property
    def identity(self) -> Identity:
        """What the result depends on beside the configuration: digests of code, weights, data."""
        return identify(self.config, self.data)

    def _data_options(self) -> dict[str, Any]:
        c = self.config
        names = ("batch_size", "time_steps", "seed", "validation", "augment", "image_size")
        options = {name: getattr(c, name) for name in (*names, "limit", "binning")}
        options["root"] = c.data_root
        if c.data == "digits" and c.image_size is None and zoo.smallest_image(c.model) > _DIGITS:
            options["image_size"] = zoo.smallest_image(c.model)  # the stand-in fits every net
        return options

    def beside(self, config: RunConfig) -> "Session":
        """Return the session of another run, which shares this one's data if they are equal."""
        other = Session(config)
        equal = config.data == self.config.data and other._data_options() == self._data_options()
        return Session(config, loaded=self.data) if equal else other

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
    def _facts(self) -> _Facts:
        model = self.built(place=False)
        wiring = trace(
            model, self.example, time_steps=self.config.time_steps, layout=self.config.layout
        )
        counts = {name: model.get_parameter(f"{name}.weight").numel() for name in wiring.prunable}
        return _Facts(wiring, counts, fuse(model), channels_last_is_safe(model))

    @property
    def wiring(self) -> Wiring:
        """Which weights feed which neurons in the uncut net."""
        return self._facts.wiring

    @property
    def weight_counts(self) -> dict[str, int]:
        """Weights of every layer of the uncut net that can be pruned, by layer."""
        return self._facts.weight_counts

    @cached_property
    def macs_per_sample(self) -> int:
        """Dense multiply-accumulates of one sample over all T."""
        return int(self.over_time({n: layer.macs for n, layer in self.wiring.layers.items()}))

    def over_time(self, macs: Mapping[str, float]) -> float:
        """Sum what one time step of each layer costs over the steps that the layer computes."""
        steps = self.config.time_steps
        first = 1 if self.runs_first_layer_once else steps
        layers = self.wiring.layers
        return sum(cost * (steps if layers[n].sources else first) for n, cost in macs.items())

    def macs_density(self, pruner: Pruner) -> float:
        """Return the live share of `macs_per_sample`, where the first layer may run once."""
        return self.over_time(pruner.live_macs) / self.macs_per_sample

    @property
    def description(self) -> dict[str, Any]:
        """Name and arguments of the model, from which it is built without training code."""
        config, info = self.config, self.data.info
        channels, height, width = info.shape
        task: dict[str, Any] = {
            "classes": len(info.classes),
            "in_channels": channels,
            "image_size": height if height == width else [height, width],
            "time_steps": config.time_steps,
        }
        if ":" not in config.model:
            task |= {"neuron": config.neuron, "reset": config.reset, "preset": config.preset}
        return {"name": config.model, "arguments": {**task, **config.model_args}}

    def built(self, *, place: bool = True, weights: bool = False) -> nn.Module:
        """Return the uncut net from the seed, if asked `placed` and with a checkpoint's weights."""
        with self._forked():
            torch.manual_seed(self.config.seed)
            model = build_model(**self.description).to(self.device)
        if place:
            self.placed(model)
        if weights and self.config.weights is not None:
            load_weights(model, Path(self.config.weights).expanduser())
        return model

    def _forked(self) -> AbstractContextManager[None]:
        """Give torch's generators, of the CPU and of the run's device, their states back."""
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def placed(self, model: nn.Module) -> nn.Module:
        """Return `model` on the run's device, made to compute as the configuration says."""
        return compute.place(
            model.to(self.device),
            self.config,
            hoisted=self.config.static_first_layer and not self.static_obstacle,
            compiled=self.compiled,
        )

    @cached_property
    def static_obstacle(self) -> str:
        """Why the net's first layers cannot be run once; empty if they can, or need not."""
        c = self.config
        if not c.static_first_layer or ":" not in c.model or self.data.info.kind != "static":
            return ""
        model = self.built(place=False)
        # Two samples: with a single one, a view across time steps would be possible.
        return compute.static_obstacle(model, self.forward(model), torch.cat([self.example] * 2))

    @cached_property
    def runs_first_layer_once(self) -> bool:
        """Whether the layers that read the image run once per image, not T times."""
        if self.data.info.kind != "static":
            return False
        with unmoved(), self._forked():  # the count of FLOPs asks in the midst of training
            model = self.built()
            run = self.forward(model)
            return compute.first_layers_run_once(model, self.wiring, run, self.example)

    @cached_property
    def compiled(self) -> bool:
        """Whether the fused neurons are compiled: wanted and possible."""
        return self.wants_compiling and cannot_compile() is None

    @cached_property
    def wants_compiling(self) -> bool:
        """Whether compiled neurons are required or save time; they serve the CPU only."""
        c = self.config
        if not c.fuse or c.compile == "off" or self.device.type != "cpu":
            return False
        updates = compute.neuron_updates(c, self.wiring, self.steps_per_epoch)
        return c.compile == "on" or updates >= compute.COMPILE_FROM

    def notices(self) -> list[str]:
        """Return what the user should know about the computation before the first step."""
        found = compute.notices(
            self.config,
            self.device,
            fused=self._facts.fused,
            memory_format_is_safe=self._facts.channels_last_is_safe,
            wants_compiling=self.wants_compiling,
        )
        found += [self.static_obstacle] if self.static_obstacle else []
        return [*found, *self.without_effect]

    @cached_property
    def without_effect(self) -> tuple[str, ...]:
        """Options that can have no effect in this run, in sentences."""
        data = self.config.data
        facts = Facts(
            kind=self.data.info.kind,
            on_cuda=self.device.type == "cuda",
            loader_takes=datasets.taken(data) if ":" in data else None,
        )
        return without_effect(self.config, facts)

    def moved(
        self, batches: Iterable[tuple[Tensor, Tensor]], model: nn.Module | None = None
    ) -> compute.DeviceBatches:
        """Return batches on the run's device, in a memory layout that `model` can train in."""
        safe = model is None or channels_last_is_safe(model)  # any layout is safe for inference
        return compute.DeviceBatches(batches, self.device, self.config.channels_last and safe)

    def forward(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return the function from input to logits [T, B, K] of `model`, in float32 if in eval."""
        c = self.config

        def run(x: Tensor) -> Tensor:
            with autocast(c.precision if model.training else "fp32", self.device):
                return forward(model, x, time_steps=c.time_steps, layout=c.layout)

        return run

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss by name."""
        return loss_by_name(self.config.loss)

    @cached_property
    def method(self) -> Method:
        """The pruning method, with the run's own options put in."""
        return resolve(self.config)

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
        """Return the run's pruner; a budget of SynOps is a share of `dense_synops`, by layer."""
        steps, drops = self.steps_per_epoch, None
        if self.method.rewinds:
            drops = rounds_of(self.config).event_steps(steps)
        return Pruner(
            model,
            optimizer,
            self.example,
            time_steps=self.config.time_steps,
            total_steps=self.config.epochs.prune * steps,
            training_steps=self.config.epochs.total * steps,
            score_batches=self.moved(turns(self.data.score)),
            layout=self.config.layout,
            seed=self.config.seed,
            events_at=drops,
            dense_synops=dense_synops,
            options=prune_options(self.config),
        )
