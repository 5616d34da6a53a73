"""Weights from files as people have them: which entry holds them, and under which names."""

import pickle
import re
import warnings
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spikeprune.adapters.rest import at_rest
from spikeprune.errors import ModelError, one_line
from spikeprune.execution.sound_weights import unsound

State = Mapping[str, Tensor]

_EXPECTED = "Expected a safetensors file, or torch.save(model.state_dict(), FILE)"
_COUNT = "n_averaged"  # which torch's AveragedModel saves beside its weights
_SHOWN = 3  # names of a kind in a message


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load the weights of a file into a net; every name and shape must fit.

    The file is of safetensors, or of `torch.save`: a state_dict, or a dict that holds one under any
    name (`{"net": ...}`, `{"state_dict": ...}`), also deeper. Names may have a prefix in common
    (`module.` of DistributedDataParallel or AveragedModel, `_orig_mod.` of torch.compile, `model.`
    of Lightning). Values take the floating type of the net. No code of the file is run.

    Raises:
        ModelError: the file cannot be read safely, holds no weights that fit, several nets, or
            weights that are not finite or not real numbers; the net keeps its own.
    """
    path = Path(path).expanduser()
    shapes = _shapes(model.state_dict())
    found = {
        where: at_rest(model, _renamed(state, shapes)) for where, state in _states(_read(path), "")
    }
    fitting = {where: state for where, state in found.items() if _shapes(state) == shapes}
    chosen = fitting or found
    if len(chosen) > 1:
        first = next(iter(chosen))
        raise ModelError(
            f"weights {path} hold several nets ({', '.join(chosen)}); save the one that you want "
            f"alone, such as torch.save(torch.load({path.name!r}){first}, 'net.pt')"
        )
    if not chosen:
        raise ModelError(
            f"weights {path} hold no state_dict, a dict from names to tensors. {_EXPECTED}"
        )
    state = next(iter(chosen.values()))
    fault = unsound(model, state)
    if fault is not None:
        raise ModelError(f"weights {path} are refused: {fault.what}; {fault.advice}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"weights {path} do not fit {type(model).__name__}: {_misfit(model, state)}. Expected "
            "a state_dict made from the same model and arguments"
        ) from error


def _states(node: Any, where: str) -> Iterator[tuple[str, State]]:
    """Yield every state_dict of a tree with the keys that lead to it, such as `['net']`."""
    if not isinstance(node, Mapping) or not all(isinstance(key, str) for key in node):
        return
    if node and all(isinstance(value, Tensor) for value in node.values()):
        yield where, node
        return
    for key, value in node.items():
        yield from _states(value, f"{where}[{key!r}]")


def _shapes(state: Mapping[str, Any]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items() if isinstance(value, Tensor)}


def _renamed(state: State, names: Collection[str]) -> State:
    """Return a state_dict without the prefix of its names that a net does not have."""
    plain = {n.replace("_orig_mod.", ""): value for n, value in state.items() if n != _COUNT}
    heads = zip(*(name.split(".")[:-1] for name in plain), strict=False)  # to the shortest
    shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, heads))
    tried = [
        {".".join(name.split(".")[cut:]): value for name, value in plain.items()}
        for cut in range(shared + 1)
    ]
    return max(tried, key=lambda state: len(state.keys() & set(names)))


def _read(path: Path) -> Any:
    """Return what a file holds; of pickles only tensors and plain values are taken."""
    if not path.is_file():
        what = "is a folder, no file" if path.is_dir() else "does not exist"
        raise ModelError(f"weights file {path} {what}")
    with path.open("rb") as file:
        head = file.read(9)
    if not head:
        raise ModelError(f"weights {path} are an empty file. {_EXPECTED}")
    try:
        if path.suffix == ".safetensors" or head[8:] == b"{":
            return load_file(path)
        allowed = torch.serialization.safe_globals(_plain_classes())
        with warnings.catch_warnings(action="ignore"), allowed:  # about pickles: refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights {path} are refused: they are a pickle{_held(error)}, which could run any "
            f"code, and no plain state_dict. {_EXPECTED}. If you trust it, convert it in Python: "
            f"net = torch.load({path.name!r}, weights_only=False); "
            "torch.save(net.state_dict(), 'net.pt')"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ModelError(
            f"weights {path} cannot be read, they are cut short, damaged or of another kind "
            f"({one_line(error)[:160]}). {_EXPECTED}"
        ) from error


def _held(error: Exception) -> str:
    """Return what torch did not allow in a pickle, such as ` of my_nets.Net`."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f" of {found[1]}" if found else ""


def _plain_classes() -> list[Any]:
    """Return what training scripts put beside weights: parsed arguments, and numbers of NumPy."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")}
    old = (scalar, "numpy.core.multiarray.scalar")  # as NumPy 1 writes it
    return [Namespace, np.dtype, scalar, old, *kinds]


def _misfit(model: nn.Module, state: State) -> str:
    """Return in a line how a state_dict differs from the model's: counts, and the first names."""
    own, given = _shapes(model.state_dict()), _shapes(state)
    wrong = [n for n in own if n in given and own[n] != given[n]]
    found = {
        "missing": [n for n in own if n not in given],
        "unknown": [n for n in given if n not in own],
        "of another shape": [
            f"{n}: found {tuple(given[n])}, expected {tuple(own[n])}" for n in wrong
        ],
    }
    return "; ".join(
        f"{len(names)} of {len(own)} tensors {kind} ({', '.join(names[:_SHOWN])}"
        f"{', ...' if len(names) > _SHOWN else ''})"
        for kind, names in found.items()
        if names
    )
