"""Floating types of training: float32, or bfloat16 by autocast where that is faster.

Autocast computes convolutions and matrix products in bfloat16. Weights, gradients, the optimiser,
the statistics of BatchNorm, the membrane potentials and the logits stay float32. Only training
steps use it: validation, evaluation, the proof of a cut, latency and the saved net are float32.
"""

import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = ("auto", "fp32", "bf16")

_HALF = (torch.bfloat16, torch.float16)
_X86 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def has_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16, which are slow to emulate.

    On x86 these are AVX512-BF16 or AMX, on ARM the BF16 extension. PyTorch's oneDNN also accepts
    bfloat16 with AVX512 alone, but emulates it. If PyTorch cannot tell, the answer is no.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    if platform.machine().lower() in ("aarch64", "arm64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return any(getattr(torch.cpu, name, bool)() for name in _X86)


def resolve(precision: str, device: str) -> str:
    """Replace `auto` by `bf16` if a run's device ('cpu', 'cuda', 'auto') has it, else by `fp32`."""
    if precision != "auto":
        return precision
    kind = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    return "bf16" if has_bf16(torch.device(kind)) else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context for a forward: bfloat16 by autocast for 'bf16', else none."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def exact(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context without autocast, for exact computations inside of any caller."""
    if device.type not in ("cpu", "cuda"):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def like_parameters(model: nn.Module, x: Tensor) -> Tensor:
    """Return a floating `x` in the type of the model's first floating parameter, if it has one."""
    if not x.is_floating_point():
        return x
    dtypes = (p.dtype for p in model.parameters() if p.is_floating_point())
    return x.to(next(dtypes, x.dtype))


def widen(neurons: Iterable[nn.Module]) -> None:
    """Make neurons cast their inputs to float32 under autocast, permanently.

    A framework's own neuron keeps its potential in the type of its input. In bfloat16, potentials
    near a threshold of 1 have a resolution of 1/256, and some spikes differ. Spikes are 0 and 1 in
    any type, so the next layer casts them back without loss.
    """
    for neuron in neurons:
        if _widened not in neuron._forward_pre_hooks.values():
            neuron.register_forward_pre_hook(_widened)


def _widened(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.float() if isinstance(a, Tensor) and a.dtype in _HALF else a for a in args)
