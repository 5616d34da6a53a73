"""Products in a net's forwards that no layer module computes: attention, functional layers."""

import math
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from spikeprune.adapters.spike_functions.watch import CallNames, Place

# Position of the first factor; the second follows. Every matmul, einsum and linear becomes one.
_MATMULS = {
    "mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "_int_mm": 0, "addmm": 1, "addmv": 1,
    "baddbmm": 1, "addbmm": 1, "_addmm_activation": 1,
}  # fmt: skip
_ATTENTION = "_scaled_dot_product_"
_OPAQUE = (
    "_trilinear", "mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "_cdist_forward", "_sparse_",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "_flash_attention_forward",
    "_efficient_attention_forward", "_scaled_mm", "_grouped_mm", "_fft_", "_weight_int",
)  # fmt: skip
_NAMESPACES = ("aten", "prim", "prims", "c10d", "_c10d_functional", "profiler", "inductor")


@dataclass(frozen=True)
class Product:
    """One product of two tensors.

    Attributes:
        place: where the net's code computes it.
        kind: 'matmul' or 'convolution'.
        left: factors `[batch, n, k]`, or the input of a convolution, `[batch, C, *space]`.
        right: factors `[batch, k, m]` (batch 1: the same for all), or the weight of a convolution.
        parameters: whether left and right are parameters of the net.
        geometry: of a convolution, by the names of `torch.convolution`; else empty.
        output_size: output positions per space axis of a convolution.
    """

    place: Place
    kind: str
    left: Tensor
    right: Tensor
    parameters: tuple[bool, bool]
    geometry: dict[str, Any]
    output_size: tuple[int, ...] = ()
    part: int = 0  # which of several products of one operator

    @property
    def name(self) -> str:
        """The module whose code computes it, and its kind."""
        return f"{self.place.module}:{self.kind}" if self.place.module else self.kind


@contextmanager
def watching_products(
    model: nn.Module,
    layers: Collection[str],
    take: Callable[[Product], None],
    opaque: Callable[[str], None],
) -> Iterator[None]:
    """Report every product inside a forward of `model`, but outside of its `layers`, while active.

    `opaque` gets the names of operators that multiply, or may do so, in a way that is not known.
    Not seen at all are kernels that PyTorch does not call, and code that `torch.compile` has
    compiled. Products are what sums over a common axis: an elementwise product is none. The fast
    path of `nn.MultiheadAttention` is off meanwhile, which may change last bits of its output.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Mode(model, layers, take, opaque):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@final
class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the operators that PyTorch runs in the end, whatever function called them."""

    def __init__(
        self,
        model: nn.Module,
        layers: Collection[str],
        take: Callable[[Product], None],
        opaque: Callable[[str], None],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names, self._layers = CallNames(model), frozenset(layers)
        self._take, self._opaque = take, opaque
        self._parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        name = func.overloadpacket.__name__.rstrip("_")
        known = name in _MATMULS or name == "convolution" or name.startswith(_ATTENTION)
        foreign = func.namespace not in _NAMESPACES
        place = None
        if known or foreign or name.startswith(_OPAQUE):
            place = self._names.place(sys._getframe(1))
        output = func(*args, **named)
        if place is not None and not self._in_a_layer(place.module):
            if known and not foreign and _plain(args):
                self._products(place, name, _bound(func, args, named), output)
            else:
                operator = str(func.overloadpacket).removeprefix("aten.")
                self._opaque(f"{operator} in {place.module or 'the net'}")
        return output

    def _in_a_layer(self, module: str) -> bool:
        parts = module.split(".")
        return any(".".join(parts[:end]) in self._layers for end in range(1, len(parts) + 1))

    def _products(self, place: Place, name: str, bound: dict[str, Any], output: Any) -> None:
        if name == "convolution":
            self._convolution(place, bound, output)
        elif name.startswith(_ATTENTION):
            query, key, value = (bound[n] for n in ("query", "key", "value"))
            keys, values = (_for_all_heads(t, query) for t in (key, value))
            self._matmul(place, query, keys.transpose(-2, -1))
            self._matmul(place, _attention(query, keys, bound), values, part=1)
        else:
            first, second = list(bound.values())[_MATMULS[name] :][:2]
            self._matmul(place, first, second)

    def _matmul(self, place: Place, first: Tensor, second: Tensor, *, part: int = 0) -> None:
        left = first.reshape(-1, *(first.shape[-2:] if first.ndim > 1 else (1, len(first))))
        right = second.reshape(-1, *(second.shape[-2:] if second.ndim > 1 else (len(second), 1)))
        fixed = self._is_parameter(first), self._is_parameter(second)
        self._take(Product(place, "matmul", left, right, fixed, {}, part=part))

    def _convolution(self, place: Place, bound: dict[str, Any], output: Tensor) -> None:
        x, weight = bound["input"], bound["weight"]
        geometry = {n: bound[n] for n in ("stride", "padding", "dilation", "transposed", "groups")}
        fixed = self._is_parameter(x), self._is_parameter(weight)
        size = tuple(output.shape[2:])
        self._take(Product(place, "convolution", x, weight, fixed, geometry, size))

    def _is_parameter(self, x: Tensor) -> bool:
        return x.untyped_storage().data_ptr() in self._parameters


def _plain(args: Any) -> bool:
    tensors = [a for a in args if isinstance(a, Tensor)]
    return all(
        t.layout is torch.strided and not t.is_quantized and not t.is_nested for t in tensors
    )


def _bound(func: Any, args: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operator by name, in the order of its schema."""
    names = [argument.name for argument in func._schema.arguments]
    return {**dict(zip(names, args, strict=False)), **named}


def _for_all_heads(x: Tensor, query: Tensor) -> Tensor:
    """Repeat keys or values that several heads share."""
    return x.repeat_interleave(query.shape[-3] // x.shape[-3], -3)


def _attention(query: Tensor, key: Tensor, bound: dict[str, Any]) -> Tensor:
    """Return the weights that a fused attention gives to its values."""
    scale = bound.get("scale")
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    bias = bound.get("attn_mask", bound.get("attn_bias"))
    if bias is not None:
        scores = scores.masked_fill(~bias, -math.inf) if bias.dtype == torch.bool else scores + bias
    if bound.get("is_causal"):
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    weights: Tensor = scores.softmax(-1)
    return weights
