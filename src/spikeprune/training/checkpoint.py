"""Save, load and resume without pickle: a tree of tensors and plain values as safetensors + JSON.

Tensors go to `<name>.safetensors` under their path in the tree; all else goes into that file's
metadata as JSON, so one atomic rename replaces both.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spikeprune.errors import RunError

TENSOR = "__tensor__"
CHANNELS_LAST = "__channels_last__"
INTEGER_KEYS = "__integer_keys__"


def _extract(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Return `node` with every tensor moved to `tensors` and replaced by a reference."""
    if isinstance(node, Tensor):
        tensors[path] = node
        # An optimiser's step takes 1.5 times as long if its state has another memory format.
        last = node.dim() == 4 and node.is_contiguous(memory_format=torch.channels_last)
        return {TENSOR: path, CHANNELS_LAST: True} if last else {TENSOR: path}
    if isinstance(node, Mapping):
        integers = bool(node) and all(isinstance(key, int) for key in node)
        items = {str(k): _extract(v, f"{path}/{k}", tensors) for k, v in node.items()}
        return {INTEGER_KEYS: items} if integers else items
    if isinstance(node, list | tuple):
        return [_extract(v, f"{path}/{i}", tensors) for i, v in enumerate(node)]
    return node


def _insert(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `_extract`."""
    if isinstance(node, list):
        return [_insert(v, tensors) for v in node]
    if not isinstance(node, dict):
        return node
    if TENSOR in node:
        tensor = tensors[node[TENSOR]]
        last = CHANNELS_LAST in node
        return tensor.contiguous(memory_format=torch.channels_last) if last else tensor
    if INTEGER_KEYS in node:
        return {int(k): _insert(v, tensors) for k, v in node[INTEGER_KEYS].items()}
    return {k: _insert(v, tensors) for k, v in node.items()}


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors, atomically: the old file stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    save_file(plain, part, metadata=metadata)
    os.replace(part, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of `save_tensors`; a `RunError` says that it is missing or damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"expected tensors in {path}, but it cannot be read: {error}") from error
    return tensors


def save_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a tree of dicts, lists, tensors and plain JSON values to one safetensors file."""
    tensors: dict[str, Tensor] = {}
    skeleton = _extract(tree, "", tensors)
    save_tensors(path, tensors, {"tree": json.dumps(skeleton)})


def load_tree(path: Path) -> dict[str, Any]:
    """Read a file of `save_tree`.

    Raises:
        RunError: the file is truncated or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})["tree"])
        tree = _insert(skeleton, load_file(path))
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise RunError(
            f"{path} is not a whole checkpoint ({error}); delete it to start its stage again"
        ) from error
    assert isinstance(tree, dict)
    return tree


def rng_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's global generators, on the CPU and on `device`."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_rng_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Continue from `rng_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
