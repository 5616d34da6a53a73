"""The finished net on disk, and back: `model.safetensors` and `plan.json` rebuild it."""

import copy
import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spikeprune.adapters.base import adapter_for
from spikeprune.adapters.hoist import hoist
from spikeprune.cutting.cut_plan import Plan, apply_plan
from spikeprune.errors import RunError
from spikeprune.execution.forward import forward
from spikeprune.inference.event_driven import event_driven
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder, read_json, write_json
from spikeprune.science.masks import Mask, pack, unpack
from spikeprune.training.checkpoint import load_model_weights, save_tensors
from spikeprune.zoo.custom import build_model

_SCHEMA = 1
_NOT_RUN = ("cli.py", "commands")


def versions() -> dict[str, str]:
    """Return the versions that a result depends on; `code` tells edited source apart."""
    names = ("torch", "spikingjelly", "torch-pruning", "spikeprune")
    found = {"python": platform.python_version(), **{name: version(name) for name in names}}
    return found | {"code": code_hash()}


@cache
def code_hash() -> str:
    """Return 8 hexadecimal digits of the package's source, of all that a run is computed by.

    The command line and what only compares finished runs are left out.
    """
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in _NOT_RUN and name.parts[:2] != ("lab", "compare"):
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def save_net(
    folder: RunFolder, model: nn.Module, session: Session, *, plan: Plan, mask: Mask
) -> None:
    """Write the cut net's tensors, the plan that rebuilds its shapes, and the masks (bits packed).

    Args:
        folder: of the run.
        model: the cut net.
        session: tells how the full net is built and called.
        plan: what was cut from it.
        mask: masks of the full net's parameters.
    """
    info = session.data.info
    # In one entry: the order of several in the file differs from run to run.
    shapes = json.dumps({name: list(tensor.shape) for name, tensor in mask.items()})
    save_tensors(folder.masks, pack(mask), {"shapes": shapes})
    save_tensors(folder.model, model.state_dict())
    write_json(
        folder.plan,
        {
            "schema": _SCHEMA,
            "model": session.description,
            "time_steps": session.config.time_steps,
            "layout": session.config.layout,
            "classes": list(info.classes),
            "input": {"shape": list(info.shape), "mean": list(info.mean), "std": list(info.std)},
            "cut": plan,
        },
    )


class Predictor(nn.Module):
    """A finished net, ready to predict: each call starts from rest and averages over T.

    Attributes:
        net: the cut net itself.
        time_steps: T.
        layout: how the net is called (see `execution.forward`).
        classes: names of the classes.
        mean: per input channel; inputs are `(pixel in [0, 1] - mean) / std`.
        std: per input channel.
    """

    def __init__(self, net: nn.Module, facts: dict[str, Any]) -> None:
        super().__init__()
        self.net = net
        self.time_steps: int = facts["time_steps"]
        self.layout: str = facts["layout"]
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.mean: tuple[float, ...] = tuple(facts["input"]["mean"])
        self.std: tuple[float, ...] = tuple(facts["input"]["std"])
        self._known = net, adapter_for(net)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of normalised images `[B, C, H, W]` or events `[T, B, ...]`."""
        if self._known[0] is not self.net:  # somebody has put another net in its place
            self._known = self.net, adapter_for(self.net)
        how: dict[str, Any] = {"time_steps": self.time_steps, "layout": self.layout}
        return forward(self.net, x, adapter=self._known[1], **how).mean(0)

    def event_driven(
        self, example: Tensor, *, choice: str | Mapping[str, str] | None = None
    ) -> "Predictor":
        """Return a copy whose net skips dead weights; see `inference.event_driven.event_driven`.

        Args:
            example: normalised inputs, as `forward` takes them.
            choice: how layers are computed; None: the fastest by measurement.

        Raises:
            ConfigError: numba is not installed, or an unknown choice.
            ModelError: weights that are not float32 on the CPU.
        """
        how: dict[str, Any] = {"time_steps": self.time_steps, "layout": self.layout}
        faster = copy.copy(self)
        faster._modules = {"net": event_driven(self.net, example, choice=choice, **how)}
        return faster


def load(folder: str | Path, *, user_code: bool = False) -> Predictor:
    """Return the cut net of a finished run, in eval mode, ready to predict.

    Args:
        folder: a run folder; of it only `plan.json` and `model.safetensors` are needed.
        user_code: whether a plan may name `module:callable`, which is imported and called. The
            files hold no code, but such a name can call anything that is installed.

    Raises:
        RunError: files are missing, were written by a newer version, or name code that was not
            allowed.
        ModelError: weights that do not fit the plan.
    """
    files = RunFolder(Path(folder).expanduser())
    facts = read_json(files.plan)
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != _SCHEMA:
        raise RunError(
            f"{files.plan} has schema {schema}, this spikeprune reads {_SCHEMA}; "
            "update with: pip install --upgrade spikeprune"
        )
    if ":" in facts["model"]["name"] and not user_code:
        raise RunError(
            f"{files.plan} names the code {facts['model']['name']!r} to build its net; if you "
            "trust this folder, allow it by load(folder, user_code=True)"
        )
    with torch.random.fork_rng([]):  # the weights that are drawn here are overwritten
        net = apply_plan(build_model(**facts["model"]), facts["cut"])
    load_model_weights(net, files.model)
    if ":" not in facts["model"]["name"]:  # code of a user's own may not stand an expanded output
        hoist(net)
    return Predictor(net, facts).eval()


def load_masks(folder: str | Path) -> Mask:
    """Return the masks of a finished run: which parameters of the full net live, by name.

    Raises:
        RunError: the file is missing, damaged, or holds no masks.
    """
    path = RunFolder(Path(folder).expanduser()).masks
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = json.loads((file.metadata() or {}).get("shapes", "{}"))
        return unpack(load_file(path), shapes)
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read ({error}); remove metrics.json and run again"
        ) from error
