"""Save, load and resume without pickle: a tree of tensors and plain values as safetensors + JSON.

Tensors go to `<name>.safetensors` under their path in the tree; all else goes into that file's
metadata as JSON, so one atomic rename replaces both.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spikeprune.errors import RunError, one_line
from spikeprune.files import replacing, system_errors

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
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with replacing(path) as draft:
        save_file(plain, draft, metadata=metadata)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of `save_tensors`; a `RunError` says that it is missing or damaged."""
    with system_errors("read", path):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors


def load_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file of `save_tensors`; a `RunError` as `load_tensors`."""
    with system_errors("read", path), safetensors.safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def save_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a tree of dicts, lists, tensors and plain JSON values to one safetensors file."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_extract(tree, "", tensors))
    save_tensors(path, tensors, {"tree": skeleton, "sha256": _digest(skeleton, tensors)})


def load_tree(path: Path) -> dict[str, Any]:
    """Read a file of `save_tree`.

    Raises:
        RunError: the file is missing, damaged (by its checksum) or of another kind.
    """
    try:
        tensors, metadata = load_tensors(path), load_metadata(path)
    except RunError as error:
        if isinstance(error.__cause__, safetensors.SafetensorError):
            raise _not_whole(path, one_line(error.__cause__)) from error
        raise
    skeleton = metadata.get("tree", "")
    # Files of version 0.1 have no checksum.
    if metadata.get("sha256", _digest(skeleton, tensors)) != _digest(skeleton, tensors):
        raise _not_whole(path, "its content differs from its checksum")
    try:
        tree = _insert(json.loads(skeleton), tensors)
    except (ValueError, LookupError, RecursionError, TypeError, AttributeError) as error:
        raise _not_whole(path, one_line(error)) from error
    if not isinstance(tree, dict):
        raise _not_whole(path, "it holds no mapping")
    return tree


def _digest(skeleton: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(skeleton.encode())
    for name in sorted(tensors):
        content = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(content.numpy().data)
    return digest.hexdigest()


def _not_whole(path: Path, why: str) -> RunError:
    return RunError(f"{path} is not a whole checkpoint ({why}); delete it to start its stage again")


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
