"""The table of parsers: name of the file that each reads, what reads it, files to start with."""

import gzip
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import nn

from spikeprune import zoo
from spikeprune.data.formats.idx import read_idx
from spikeprune.data.formats.recordings import bin_recording, read_recording
from spikeprune.errors import DataError
from spikeprune.files import read_json, read_rows
from spikeprune.inference.saved_net import MASKS, MODEL, PLAN, load, load_masks
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import NAME as MANIFEST
from spikeprune.manifest import checksum, faults
from spikeprune.training.checkpoint import load_tree
from spikeprune.training.weights_file import load_weights
from spikeprune.wiring.cut_plan import apply_plan


class Target(NamedTuple):
    """A parser of one kind of file."""

    file: str  # its name in a folder of its own
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    beside: Callable[[], dict[str, bytes]] = dict  # other files of the folder


T, SHAPE = 2, (2, 34, 34)
NET = {"classes": 2, "in_channels": 1, "image_size": 4, "time_steps": T, "widths": [2, 2]}
NET |= {"strides": [1, 1]}
CUT = {"version": 1, "modules": {"stem.conv": {"of": {"out": 2}, "out": [1]}}}
CUT["modules"]["stem.norm"] = {"of": {"norm": 2}, "norm": [1]}
CUT["modules"]["body.spike1"] = {"of": {"state": 2}, "state": [1]}
CUT["modules"]["body.conv2"] = {"of": {"in": 2}, "in": [1]}


def small_net() -> nn.Module:
    """Return a net of two convolutions and a classifier, 140 weights."""
    torch.manual_seed(0)
    return zoo.build("vgg-small", **NET)


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def read_image_file(file: Path) -> None:
    """Read images, or labels where it holds none; plain or compressed."""
    if file.read_bytes()[:2] == b"\x1f\x8b":
        file = file.rename(file.with_suffix(".gz"))
    try:
        read_idx(file, 3)
    except DataError:
        read_idx(file, 1)


def idx_files() -> list[bytes]:
    images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(range(8))
    labels = struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(range(3))
    return [images, labels, gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)]


def read_events(file: Path) -> None:
    recording = read_recording(file, *SHAPE[1:])
    for binning in ("duration", "count"):
        bin_recording(recording, T, SHAPE, binning=binning)


def recordings() -> list[bytes]:
    event = bytes([3, 4, 0x80, 1, 2])
    return [event, event + bytes([33, 0, 0, 0, 9]), 3 * event]


def weights() -> list[bytes]:
    linear = {"weight": torch.zeros(2, 2), "bias": torch.ones(2)}
    named = {f"module.{name}": value for name, value in linear.items()}
    return [save(linear), save(named), pickled(linear), pickled({"net": named, "epoch": 3})]


def masks() -> list[bytes]:
    packed = {"head.weight": torch.tensor([0b101], dtype=torch.uint8)}
    metadata = {"shapes": json.dumps({"head.weight": [2, 3]})}
    return [save(packed, metadata), save(packed), save({})]


def trees() -> list[bytes]:
    tree = {"step": 3, "weight": {"__tensor__": "/weight", "__channels_last__": True}}
    tree |= {"state": {"__integer_keys__": {"0": [1, None, "a"]}}}
    tensors = {"/weight": torch.zeros(1, 2, 2, 2)}
    return [save(tensors, {"tree": json.dumps(tree)}), save(tensors, {"tree": "{}"}), save(tensors)]


def apply_cut(file: Path) -> None:
    apply_plan(small_net(), read_json(file, dict[str, object]))


def plan() -> list[bytes]:
    whole = {"schema": 1, "model": {"name": "vgg-small", "arguments": NET}, "time_steps": T}
    whole |= {"layout": "sequence", "classes": ["a", "b"], "cut": {"version": 1, "modules": {}}}
    whole |= {"input": {"shape": [1, 4, 4], "mean": [0.1], "std": [0.2]}}
    other = {"name": "sew-resnet18", "arguments": {"width": 0.0625}}
    return [
        as_bytes(whole),
        as_bytes(whole | {"cut": CUT}),
        as_bytes(whole | {"model": other}),
        as_bytes(whole | {"model": {"name": "os:system", "arguments": {}}}),
        as_bytes(whole | {"weights": checksum(b"")}),
    ]


def recipes() -> list[bytes]:
    nested = "data: digits\nmodel: vgg-small\nmodel_args: {widths: [4, 8]}\nsparsity: 0.9\n"
    nested += "optimizer: {name: sgd, lr: 1e-1}\nepochs: {prune: 2, finetune: 1}\n"
    nested += "limits: {a: [0, 1]}\n"
    anchors = "data: &a digits\nmodel: vgg-small\nmodel_args: {b: *a}\nexclude: [head]\n"
    short = "data: digits\nmodel: vgg-small\ncriticality: {curve: atan}\nimp: {rounds: 2}\n"
    return [nested.encode(), anchors.encode(), short.encode()]


EVENT = {"kind": "event", "stage": "prune", "event": 1, "events": 2, "step": 2, "density": 0.5}
EVENT |= {"live": 3, "kept": 2, "regrown": 1, "dropped_and_returned": 1, "dead_and_returned": 0}
EVENT |= {"layers": {"a": {"live": 3, "total": 6, "regrown": 1, "survived": None}}, "epoch": 1.0}
EPOCH = {"kind": "epoch", "stage": "dense", "epoch": 1, "loss": 0.5, "density": 1.0}
METRICS = {"schema": 1, "method": "criticality", "granularity": "weight", "data": {"name": "a"}}
METRICS |= {"model": {"name": "vgg-small", "arguments": {}}, "dense": {"density": 1.0}}
METRICS |= {"pruned": {"layers": [{"name": "a", "shape": [2, 3], "density": 0.5}]}}


def history() -> list[bytes]:
    line = as_bytes(EPOCH) + b"\n"
    return [line, line + as_bytes(EVENT) + b"\n", line + as_bytes(EVENT), b"{}\n"]


def read_history(file: Path) -> None:
    read_rows(file)
    read_record(file.parent)


def manifest() -> list[bytes]:
    files = {"a": checksum(b"a"), "b": checksum(b"")}
    return [as_bytes({"schema": 1, "files": files}), as_bytes({"schema": 1, "files": {}})]


def metrics() -> list[bytes]:
    events = {"regrowth": {"events": [EVENT], "survival_mean": None}, "target": {"sparsity": 0.5}}
    return [as_bytes(METRICS), as_bytes(METRICS | events), as_bytes({"schema": 2})]


TARGETS = {
    "idx": Target("images.idx", read_image_file, idx_files),
    "recordings": Target("1.bin", read_events, recordings),
    "weights": Target("net.pt", lambda file: load_weights(nn.Linear(2, 2), file), weights),
    "masks": Target(MASKS, lambda file: load_masks(file.parent), masks),
    "checkpoint": Target("last.safetensors", load_tree, trees),
    "cut-plan": Target("cut.json", apply_cut, lambda: [as_bytes(CUT)]),
    "plan": Target(
        PLAN, lambda file: load(file.parent), plan, lambda: {MODEL: save(small_net().state_dict())}
    ),
    "recipe": Target("config.yaml", RunConfig.load, recipes),
    "history": Target(
        "history.jsonl", read_history, history, lambda: {"metrics.json": as_bytes(METRICS)}
    ),
    "manifest": Target(MANIFEST, lambda file: faults(file.parent), manifest, lambda: {"a": b"a"}),
    "metrics": Target("metrics.json", lambda file: read_record(file.parent), metrics),
}


def read(name: str, content: bytes, folder: Path) -> object:
    """Give a content to a parser, in a new folder; it raises what the parser raises."""
    target = TARGETS[name]
    for other, given in target.beside().items():
        (folder / other).write_bytes(given)
    file = folder / target.file
    file.write_bytes(content)
    return target.read(file)
