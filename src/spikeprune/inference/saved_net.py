"""The finished net on disk, and back: `model.safetensors` and `plan.json` rebuild it."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import hoist
from spikeprune.cutting.cut_plan import apply_plan
from spikeprune.errors import RunError
from spikeprune.execution.forward import forward
from spikeprune.files import read_json
from spikeprune.inference.event_driven import event_driven
from spikeprune.science.masks import Mask, unpack
from spikeprune.training.checkpoint import load_model_weights
from spikeprune.zoo.custom import build_model

SCHEMA = 1
"""Version of `plan.json`."""
MODEL, PLAN, MASKS = "model.safetensors", "plan.json", "masks.safetensors"
"""Names of the files that hold a finished net."""


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
    path = Path(folder).expanduser()
    facts = read_json(path / PLAN)
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != SCHEMA:
        raise RunError(
            f"{path / PLAN} has schema {schema}, this spikeprune reads {SCHEMA}; "
            "update with: pip install --upgrade spikeprune"
        )
    if ":" in facts["model"]["name"] and not user_code:
        raise RunError(
            f"{path / PLAN} names the code {facts['model']['name']!r} to build its net; if you "
            "trust this folder, allow it by load(folder, user_code=True)"
        )
    with torch.random.fork_rng([]):  # the weights that are drawn here are overwritten
        net = apply_plan(build_model(**facts["model"]), facts["cut"])
    load_model_weights(net, path / MODEL)
    if ":" not in facts["model"]["name"]:  # code of a user's own may not stand an expanded output
        hoist(net)
    return Predictor(net, facts).eval()


def load_masks(folder: str | Path) -> Mask:
    """Return the masks of a finished run: which parameters of the full net live, by name.

    Raises:
        RunError: the file is missing, damaged, or holds no masks.
    """
    path = Path(folder).expanduser() / MASKS
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = json.loads((file.metadata() or {}).get("shapes", "{}"))
        return unpack(load_file(path), shapes)
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read ({error}); remove metrics.json and run again"
        ) from error
