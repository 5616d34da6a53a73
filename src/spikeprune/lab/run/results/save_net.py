"""Write the files of a finished net: tensors, plan and masks."""

import json

from torch import nn

from spikeprune.files import write_json
from spikeprune.inference.saved_net import SCHEMA
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.manifest import file_checksum
from spikeprune.science.masks import Mask, pack
from spikeprune.training.checkpoint import save_tensors
from spikeprune.wiring.cut_plan import Plan


def save_net(
    folder: RunFolder, model: nn.Module, session: Session, *, plan: Plan, mask: Mask
) -> None:
    """Write a cut net, the plan that cuts it from the full net, and the full net's masks."""
    info = session.data.info
    # One entry, because the order of several entries in the file differs from run to run.
    shapes = json.dumps({name: list(tensor.shape) for name, tensor in mask.items()})
    save_tensors(folder.masks, pack(mask), {"shapes": shapes})
    save_tensors(folder.model, model.state_dict())
    write_json(
        folder.plan,
        {
            "schema": SCHEMA,
            "model": session.description,
            "time_steps": session.config.time_steps,
            "layout": session.config.layout,
            "classes": list(info.classes),
            "input": {"shape": list(info.shape), "mean": list(info.mean), "std": list(info.std)},
            "cut": plan,
            "weights": file_checksum(folder.model),
        },
    )
