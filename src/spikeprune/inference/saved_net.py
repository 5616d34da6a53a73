"""Load a finished net from the `plan.json` and `model.safetensors` of its run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spikeprune import limits
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import RunError
from spikeprune.execution.forward import forward
from spikeprune.files import read_json
from spikeprune.inference.event_driven import event_driven
from spikeprune.science.masks import Mask, unpack
from spikeprune.training.weights_file import load_weights
from spikeprune.wiring.cut_plan import apply_plan
from spikeprune.zoo.custom import build_model

SCHEMA = 1
"""Version of `plan.json`."""
MODEL, PLAN, MASKS = "model.safetensors", "plan.json", "masks.safetensors"
"""Files of a finished net."""


class Predictor(nn.Module):
    """A finished net, ready to predict: each call starts from rest and averages over T.

    Attributes:
        net: the cut net.
        time_steps: T.
        layout: how the net is called (see `execution.forward`).
        classes: names of the classes.
        mean: per input channel; inputs are `(pixel in [0, 1] - mean) / std`.
        std: per input channel.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        time_steps: int,
        layout: str,
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.net, self.time_steps, self.layout = net, time_steps, layout
        self.classes, self.mean, self.std = tuple(classes), tuple(mean), tuple(std)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of normalised images `[B, ...]` or recordings `[T, B, ...]`."""
        logits = forward(self.net, x, time_steps=self.time_steps, layout=self.layout)
        return logits.mean(0)

    def event_driven(
        self, example: Tensor, *, choice: str | Mapping[str, str] | None = None
    ) -> "Predictor":
        """Return a copy whose net skips dead weights; see `inference.event_driven.event_driven`.

        Args:
            example: normalised inputs, as `forward` takes them.
            choice: how layers are computed; None: the fastest by measurement.
        """
        steps, layout = self.time_steps, self.layout
        return Predictor(
            event_driven(self.net, example, time_steps=steps, layout=layout, choice=choice),
            time_steps=steps,
            layout=layout,
            classes=self.classes,
            mean=self.mean,
            std=self.std,
        ).eval()


def load(folder: str | Path, *, user_code: bool = False) -> Predictor:
    """Return the cut net of a finished run, in eval mode, ready to predict.

    Args:
        folder: a run folder; only its `plan.json` and `model.safetensors` are needed.
        user_code: whether a plan may name `module:callable`, which is imported and called. The
            files hold no code, but such a name can call anything that is installed.

    Raises:
        RunError: files are missing, come from a newer version, or name code that is not allowed.
        ModelError: weights that do not fit the plan.
    """
    path = Path(folder).expanduser()
    plan = read_json(path / PLAN)
    schema = plan.get("schema") if isinstance(plan, dict) else None
    if schema != SCHEMA:
        raise RunError(
            f"{path / PLAN} has schema {schema}, this spikeprune reads {SCHEMA}; "
            "update with: pip install --upgrade spikeprune"
        )
    limits.require_at_most(
        plan["time_steps"], limits.TIME_STEPS, f"time_steps of {path / PLAN}", error=RunError
    )
    model = plan["model"]["name"]
    if ":" in model and not user_code:
        raise RunError(
            f"{path / PLAN} names the code {model!r} to build its net; if you "
            "trust this folder, allow it by load(folder, user_code=True)"
        )
    with torch.random.fork_rng([]):  # the weights that are drawn here are overwritten
        net = apply_plan(build_model(**plan["model"]), plan["cut"])
    load_weights(net, path / MODEL)
    if ":" not in model:  # a user's net may not be able to use an expanded output
        hoist(net)
    return Predictor(
        net,
        time_steps=plan["time_steps"],
        layout=plan["layout"],
        classes=plan["classes"],
        mean=plan["input"]["mean"],
        std=plan["input"]["std"],
    ).eval()


def load_masks(folder: str | Path) -> Mask:
    """Return the masks of a finished run, by name of the full net's parameter.

    Raises:
        RunError: the file is missing, damaged, or holds no masks.
    """
    path = Path(folder).expanduser() / MASKS
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = json.loads((file.metadata() or {}).get("shapes", "{}"))
        return unpack(load_file(path), shapes)
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        advice = "remove metrics.json and run again"
        raise RunError(f"{path} cannot be read ({error}); {advice}") from error
