"""Random crop, flip and Cutout of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

AUGMENTATIONS = ("crop", "flip", "cutout")


def crop_padding(side: int) -> int:
    """Return the padding of the random crop in pixels: an eighth of the side, at least 1."""
    return max(1, round(side / 8))


def cutout_size(side: int) -> int:
    """Return the side of the Cutout square in pixels: 16, or half the image if that is less."""
    return max(1, min(16, side // 2))


def crop(x: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad each sample of `x` `[B, *, H, W]` with zeros and cut out a window of the old size.

    The window is uniform over `(2 padding + 1)^2`, and one for all of `*` (channels, time steps).
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
    """Mirror each sample of `x` `[B, *, H, W]` left to right with probability 1/2."""
    chosen = torch.rand(x.shape[0], generator=generator) < 0.5
    return torch.where(chosen.view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)


def cutout(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Set a square of `size` pixels in each sample of `x` `[B, *, H, W]` to 0, the mean colour.

    The centre is uniform over the image and the border clips the square, as in DeVries and Taylor,
    "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
    """
    batch, height, width = x.shape[0], x.shape[-2], x.shape[-1]
    top = torch.randint(0, height, (batch, 1), generator=generator) - size // 2
    left = torch.randint(0, width, (batch, 1), generator=generator) - size // 2
    row, column = torch.arange(height), torch.arange(width)
    hit_row = (row >= top) & (row < top + size)
    hit_column = (column >= left) & (column < left + size)
    hit = hit_row[:, :, None] & hit_column[:, None, :]
    return x.masked_fill(hit.view(batch, *[1] * (x.dim() - 3), height, width), 0.0)
