"""Which runs share a dense net: those with the same key."""

import hashlib
import json
from pathlib import Path

from spikeprune.lab.settings.config import RunConfig

_DENSE_FIELDS = (
    *("data", "limit", "validation", "augment", "image_size", "binning", "batch_size"),
    *("model", "model_args", "time_steps", "neuron", "reset", "preset", "layout"),
    *("optimizer", "loss", "seed", "fuse", "precision", "static_first_layer"),
)


def dense_key(config: RunConfig, *, compiled: bool = False, processes: int = 1) -> str:
    """Return the key of the dense net: 16 hexadecimal digits of what that net depends on.

    Methods, granularities and targets that share data, net, training and total epochs share it
    (method, section 5). A checkpoint enters with its content. Code behind `module:callable` and
    the content of a data folder do not enter.

    Args:
        config: of a run.
        compiled: whether its neurons are compiled, which rounds gradients differently.
        processes: how many train together.
    """
    plain = config.to_dict()
    relevant = {name: plain[name] for name in _DENSE_FIELDS}
    relevant["epochs"] = config.dense_epochs
    if processes > 1:  # each process normalises its own slice of a batch
        relevant["processes"] = processes
    if config.data_root is not None:  # two copies of one name may differ in size or quality
        relevant["data_root"] = str(Path(config.data_root).expanduser().absolute())
    if compiled:
        relevant["compiled"] = True
    if config.start == "checkpoint" and config.weights:
        content = Path(config.weights).expanduser().read_bytes()
        relevant["weights"] = hashlib.sha256(content).hexdigest()
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
