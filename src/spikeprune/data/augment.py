"""Crop, flip and Cutout, on a whole batch at once and driven by a generator."""

import torch
import torch.nn.functional as F
from torch import Tensor

AUGMENTATIONS = ("crop", "flip", "cutout")


def crop_padding(side: int) -> int:
    """Pixels of padding for the random crop: an eighth of the side (4 of 32), at least 1."""
    return max(1, round(side / 8))


def cutout_size(side: int) -> int:
    """Side of the Cutout square in pixels: 16, or half the image where that is smaller."""
    return max(1, min(16, side // 2))


def crop(x: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Shift each sample by up to `padding` pixels in both directions; zeros move in.

    Padding with zeros and cutting out a window of the old size, as usual for CIFAR.

    Args:
        x: `[B, *, H, W]`; all of `*` (channels, time steps) moves together.
        padding: Largest shift, in pixels.
        generator: Source of the shifts, uniform over the `(2 padding + 1)^2` windows.

    Returns:
        A tensor of the shape and type of `x`.
    """
    batch, height, width = x.shape[0], x.shape[-2], x.shape[-1]
    padded = F.pad(x.reshape(batch, -1, height, width), (padding,) * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator)
    rows = (top + torch.arange(height))[:, None, :, None]
    columns = (left + torch.arange(width))[:, None, None, :]
    sample = torch.arange(batch)[:, None, None, None]
    plane = torch.arange(padded.shape[1])[None, :, None, None]
    return padded[sample, plane, rows, columns].reshape(x.shape)


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each sample left to right with probability 1/2.

    Args:
        x: `[B, *, H, W]`.
        generator: Source of the choices.

    Returns:
        A tensor of the shape and type of `x`.
    """
    chosen = torch.rand(x.shape[0], generator=generator) < 0.5
    return torch.where(chosen.view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)


def cutout(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Set one square of each sample to 0, which is the mean colour of normalised images.

    The centre is uniform over the image and the square is clipped at the border, as in DeVries
    and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).

    Args:
        x: `[B, *, H, W]`, normalised.
        size: Side of the square in pixels.
        generator: Source of the centres.

    Returns:
        A tensor of the shape and type of `x`.
    """
    batch, height, width = x.shape[0], x.shape[-2], x.shape[-1]
    top = torch.randint(0, height, (batch, 1), generator=generator) - size // 2
    left = torch.randint(0, width, (batch, 1), generator=generator) - size // 2
    row, column = torch.arange(height), torch.arange(width)
    hit_row = (row >= top) & (row < top + size)
    hit_column = (column >= left) & (column < left + size)
    hit = hit_row[:, :, None] & hit_column[:, None, :]
    return x.masked_fill(hit.view(batch, *[1] * (x.dim() - 3), height, width), 0.0)
