"""Which nets can be trained with their channels last in memory."""

import torch
from torch import nn


def channels_last_is_safe(model: nn.Module) -> bool:
    """Return whether `model` can be trained on its device with channels-last tensors.

    On x86 the weight gradient of a strided 1x1 convolution writes past its buffer if the layer has
    fewer input channels than a vector register holds floats: the heap is corrupted. Either tensor,
    input or weight, in channels-last format is enough for that; inference, float64 and tensors in
    PyTorch's default format are safe.

    Source: oneDNN 3.12, issue 6035 of github.com/uxlfoundation/oneDNN.
    """
    lanes = _vector_lanes()
    return not any(
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.groups == 1
        and layer.in_channels < lanes
        and layer.weight.device.type == "cpu"
        for layer in model.modules()
    )


def _vector_lanes() -> int:
    """Return how many floats a vector register of the CPU holds; 0 if it is not x86."""
    supported = {16: "_is_avx512_supported", 8: "_is_avx2_supported"}
    return next((n for n, name in supported.items() if getattr(torch.cpu, name, bool)()), 0)
