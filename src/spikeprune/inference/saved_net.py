"""Load a finished net from the `plan.json` and `model.safetensors` of its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import torch
from msgspec import Meta
from torch import Tensor, nn

from spikeprune import limits
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import RunError
from spikeprune.execution.forward import forward
from spikeprune.files import checked, decoded, read_json
from spikeprune.inference.event_driven import event_driven
from spikeprune.manifest import Checksum, file_checksum, require_whole
from spikeprune.science.masks import Mask, unpack
from spikeprune.training.checkpoint import load_metadata, load_tensors
from spikeprune.training.weights_file import load_weights
from spikeprune.wiring.cut_plan import CutPlan, apply_plan
from spikeprune.zoo.custom import build_model

SCHEMA = 1
"""Version of `plan.json`."""
MODEL, PLAN, MASKS = "model.safetensors", "plan.json", "masks.safetensors"
"""Files of a finished net."""

_Positive = Annotated[int, Meta(ge=1)]


class _Model(TypedDict):
    name: str
    arguments: dict[str, Any]


class _Input(TypedDict):
    shape: tuple[_Positive, _Positive, _Positive]
    mean: list[float]
    std: list[float]


class SavedPlan(TypedDict):
    """The content of `plan.json`."""

    schema: int
    model: _Model
    time_steps: _Positive
    layout: str
    classes: list[str]
    input: _Input
    cut: CutPlan
    weights: NotRequired[Checksum]  # of the file of the net; version 0.1 did not write it


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
    plan = read_plan(path)
    require_whole(path, MODEL)
    if "weights" in plan and file_checksum(path / MODEL) != plan["weights"]:
        raise RunError(
            f"{path / MODEL} differs from its checksum in {PLAN}: it is damaged, or of another "
            "run; put the right file back"
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
        net = build_model(plan["model"]["name"], plan["model"]["arguments"])
        apply_plan(net, dict(plan["cut"]))
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


def read_plan(folder: Path) -> SavedPlan:
    """Return the `plan.json` of a finished run; a RunError as `load`."""
    path = folder / PLAN
    require_whole(folder, PLAN)
    plan = read_json(path, dict[str, Any])
    if plan.get("schema") != SCHEMA:
        raise RunError(
            f"{path} has schema {plan.get('schema')}, this spikeprune reads {SCHEMA}; "
            "update with: pip install --upgrade spikeprune"
        )
    found: SavedPlan = checked(plan, SavedPlan, str(path))
    return found


def load_masks(folder: str | Path) -> Mask:
    """Return the masks of a finished run, by name of the full net's parameter.

    Raises:
        RunError: the file is missing, damaged, or holds no masks.
    """
    path = Path(folder).expanduser() / MASKS
    require_whole(path.parent, MASKS)
    packed, metadata = load_tensors(path), load_metadata(path)
    shapes = decoded(metadata.get("shapes", "{}").encode(), dict[str, list[int]], str(path))
    try:
        return unpack(packed, shapes)
    except ValueError as error:
        raise RunError(f"{path} holds no masks ({error}); put the right file back") from error
