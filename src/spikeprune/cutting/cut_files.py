"""A cut net in a folder: the plan of the cut and the weights, for a net of the user's own class."""

from pathlib import Path
from typing import TypeVar

from torch import nn

from spikeprune.cutting.compact import Cut
from spikeprune.errors import RunError
from spikeprune.files import read_json, write_json
from spikeprune.manifest import require_whole, write_manifest
from spikeprune.training.checkpoint import save_tensors
from spikeprune.training.weights_file import load_weights
from spikeprune.wiring.cut_plan import CutPlan, apply_plan

_PLAN, _WEIGHTS = "cut.json", "weights.safetensors"

Net = TypeVar("Net", bound=nn.Module)


def save_cut(result: Cut, folder: str | Path) -> None:
    """Write the plan and the weights of a cut net to a folder, without pickle.

    The folder is made if it is not there; older files of the same names are replaced.
    """
    path = Path(folder).expanduser()
    save_tensors(path / _WEIGHTS, result.model.state_dict())
    write_json(path / _PLAN, result.plan)
    write_manifest(path, (_WEIGHTS, _PLAN), {})


def load_cut(model: Net, folder: str | Path) -> Net:
    """Cut a net of full size as the saved one was, in place, and load its weights; return it.

    Args:
        model: built anew, as the net that was pruned; its weights do not matter.
        folder: of `save_cut`.

    Raises:
        RunError: files are missing or damaged.
        ModelError: a net of another make.
    """
    path = Path(folder).expanduser()
    if not (path / _PLAN).exists():
        raise RunError(f"expected a cut net in {path}, but there is no {_PLAN}; save_cut writes it")
    require_whole(path)
    apply_plan(model, read_json(path / _PLAN, CutPlan))
    load_weights(model, path / _WEIGHTS)
    return model
