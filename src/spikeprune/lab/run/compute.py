"""How the nets of a run compute: device, memory layout, fused neurons, precision, first layers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeprune.adapters.registry import spiking_neurons
from spikeprune.adapters.speedups import FuseReport, cannot_compile, fuse, hoist, unhoist
from spikeprune.errors import one_line
from spikeprune.execution.forward import evaluating
from spikeprune.execution.memory_format import channels_last_is_safe
from spikeprune.execution.precision import has_bf16, widen
from spikeprune.lab.settings.config import RunConfig
from spikeprune.measuring.synops import counting
from spikeprune.wiring.wiring import Wiring


def channels_last(x: Tensor) -> Tensor:
    """Return images `[B, C, H, W]` or frames `[T, B, C, H, W]` with channels last in memory."""
    if x.dim() < 4:
        return x
    # SpikingJelly folds time into the batch, so each frame has its own layout.
    frames = x.flatten(0, -4).contiguous(memory_format=torch.channels_last)
    return frames.view(*x.shape[:-3], *frames.shape[1:])


@dataclass(frozen=True)
class DeviceBatches:
    """Batches on a device, with the channels of images last in memory if `channels_last`."""

    batches: Iterable[tuple[Tensor, Tensor]]
    device: torch.device
    channels_last: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, labels in self.batches:
            x, y = inputs.to(self.device), labels.to(self.device)
            yield channels_last(x) if self.channels_last else x, y


def _weight_last(weight: Tensor) -> Tensor:
    """Return the weight of a 2-d convolution with its channels last in memory."""
    _, channels, height, width = weight.shape
    if channels == 1:  # the same bytes in both layouts: strides tell PyTorch that of the output
        strides = (height * width, 1, width, 1)
        return weight.contiguous().as_strided(weight.shape, strides)
    return weight.contiguous(memory_format=torch.channels_last)


def place(
    model: nn.Module, config: RunConfig, *, hoisted: bool, compiled: bool = False
) -> nn.Module:
    """Return `model`, changed in place on the run's device to compute as `config` says."""
    left = set(fuse(model, compiled=compiled).left if config.fuse else spiking_neurons(model))
    if config.precision == "bf16":
        # Fused neurons keep their potentials in float32 themselves; they step aside off the CPU.
        on_cpu = all(p.device.type == "cpu" for p in model.parameters())
        widen(m for n, m in spiking_neurons(model).items() if n in left or not on_cpu)
    (hoist if hoisted else unhoist)(model)
    if config.channels_last:
        safe, default = channels_last_is_safe(model), torch.contiguous_format
        for p in model.parameters():
            if p.dim() == 4:
                p.data = _weight_last(p.data) if safe else p.data.clone(memory_format=default)
    return model


@torch.no_grad()
def static_obstacle(model: nn.Module, run: Callable[[Tensor], Tensor], example: Tensor) -> str:
    """Return why a net that works fails on a static batch once it is hoisted; else nothing."""
    with evaluating(model):
        hoist(model)
        try:
            run(example)
        except Exception as error:  # anything that the user's code raises
            unhoist(model)
            try:
                run(example)
            except Exception:  # hoisting is not the reason: the run reports it when it uses the net
                return ""
            why = one_line(error)
            return f"the first layers run at every time step; this net cannot share one: {why}"
    return ""


@torch.no_grad()
def first_layers_run_once(
    model: nn.Module, wiring: Wiring, run: Callable[[Tensor], Tensor], example: Tensor
) -> bool:
    """Return whether all layers that read the image compute one time step of a static batch."""
    with evaluating(model), counting(model, wiring) as counts:
        run(example)
    first = [counts.layers[name] for name, layer in wiring.layers.items() if not layer.sources]
    return all(count.slices == len(example) for count in first)


COMPILE_FROM = 10**10
"""`compile: auto` compiles a training of at least this many neuron updates: the compiled body saves
a few nanoseconds per update, and compiling takes seconds to tens of seconds."""


def neuron_updates(config: RunConfig, wiring: Wiring, steps_per_epoch: int) -> int:
    """Return how many potentials training updates: samples x T x epochs x neurons."""
    neurons = sum(layer.output_shape.numel() for layer in wiring.layers.values() if layer.feeds)
    samples = steps_per_epoch * config.batch_size
    # Of the dense net, so that all runs that share one make the same decision.
    epochs = config.dense_epochs or config.epochs.total
    return samples * config.time_steps * epochs * neurons


def notices(
    config: RunConfig,
    device: torch.device,
    *,
    fused: FuseReport,
    memory_format_is_safe: bool,
    wants_compiling: bool,
) -> list[str]:
    """Return what of the wanted computation is impossible or slow for this net and device."""
    found = []
    if config.fuse and fused.left:
        found.append(str(fused))
    if config.channels_last and not memory_format_is_safe:
        found.append(
            "channels_last is off for this net: PyTorch cannot train its strided 1x1 convolutions "
            "with few input channels in that memory format"
        )
    if wants_compiling and cannot_compile() is None:
        found.append(
            "neurons are compiled in the first steps: tens of seconds on a machine that has not "
            "done so before, else seconds"
        )
    elif wants_compiling:
        found.append(f"fused neurons are not compiled: {cannot_compile()}")
    if config.precision == "bf16" and not has_bf16(device):
        found.append(
            f"precision bf16 without instructions for it on this device ({device.type}): the "
            "same results, but slower than --precision fp32"
        )
    return found
