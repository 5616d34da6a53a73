"""Batches as data loaders give them: the input, and the class of every sample."""

from typing import Any

import torch
from torch import Tensor

from spikeprune.errors import DataError


def input_of(batch: Any) -> Any:
    """Return the input of a batch: the batch itself, or the first entry of a tuple or list.

    Raises:
        DataError: no tensor, tuple or list; a dict says which of its entries is the input.
    """
    if isinstance(batch, tuple | list) and batch:
        return _tensor(batch[0]) if _is_array(batch[0]) else batch[0]
    return _tensor(batch) if _is_array(batch) else _known(batch)


def pair_of(batch: Any) -> tuple[Any, Tensor]:
    """Return input and labels of a batch `(input, labels, ...)`; further entries are left out.

    Raises:
        DataError: another form.
    """
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        return input_of(batch), _tensor(batch[1])
    _known(batch)
    raise DataError(
        f"expected batches (input, labels), got {_described(batch)}; map them, for example "
        "((x, y) for x, y in ...)"
    )


def classes_of(labels: Tensor, classes: int) -> Tensor:
    """Return the class of every sample `[B]` as int64, from `[B]`, `[B, 1]` or one-hot `[B, K]`.

    Raises:
        DataError: labels that are no classes.
    """
    y = labels
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and y.shape[1] == classes and _is_one_hot(y):
        y = y.argmax(1)
    whole = y.to(torch.int64)
    if y.ndim != 1 or bool((whole != y).any()) or bool(((whole < 0) | (whole >= classes)).any()):
        raise DataError(
            f"expected one label from 0 to {classes - 1} for each sample, as the model has "
            f"{classes} outputs, got shape {tuple(labels.shape)} with values "
            f"{labels.flatten()[:8].tolist()}"
        )
    return whole


def _is_one_hot(y: Tensor) -> bool:
    return bool(((y == 0) | (y == 1)).all()) and bool((y.sum(1) == 1).all())


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__array__")


def _tensor(value: Any) -> Tensor:
    try:
        return value if isinstance(value, Tensor) else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"expected labels as a tensor, got {type(value).__name__}") from error


def _known(batch: Any) -> Any:
    if isinstance(batch, dict):
        raise DataError(
            f"expected batches (input, labels), got a dict with {', '.join(map(repr, batch))}; map "
            "them, for example ((b['image'], b['label']) for b in loader)"
        )
    if not isinstance(batch, tuple | list):
        raise DataError(f"expected a tensor or (input, labels), got {_described(batch)}")
    return batch


def _described(batch: Any) -> str:
    if isinstance(batch, tuple | list):
        return f"{type(batch).__name__} of {len(batch)}"
    return f"a {type(batch).__name__}"
