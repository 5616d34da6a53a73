"""What to drop: the weights (or channels) of the smallest saliency.

Each function returns a detached, non-negative tensor of the shape and dtype of its input.
"""

import torch
from torch import Tensor

__all__ = ["batchnorm_scale", "magnitude", "random"]


def magnitude(weight: Tensor) -> Tensor:
    """Return `|w|` (method, section 3, step 2)."""
    return weight.detach().abs()


def batchnorm_scale(gamma: Tensor) -> Tensor:
    """Return `|gamma|` of a BatchNorm, `[C]` (method, section 4, step 2)."""
    return gamma.detach().abs()


def random(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1), drawn on the generator's device, at least float32.

    Half precision has too few values: ties would make the choice less than random.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    drawn = torch.rand(like.shape, generator=generator, dtype=dtype, device=generator.device)
    return drawn.to(like.device)
