"""Recipes drawn at random: mixtures of every field of a run, and fields with extreme values."""

import datetime
import math
import random
from dataclasses import is_dataclass
from typing import get_type_hints

from spikeprune.choices import choices
from spikeprune.lab.settings.config import RunConfig
from spikeprune.pruning.methods import all_methods

TINY = {
    "data": "digits",
    "limit": 40,
    "batch_size": 10,
    "model": "vgg-small",
    "model_args": {"widths": [2, 3], "strides": [2, 2]},
    "time_steps": 2,
    "method": "magnitude",
    "sparsity": 0.5,
    "epochs": {"prune": 1, "finetune": 1},
    "every": 2,
    "threads": 1,
}
LAYERS = ["stem.conv", "body.conv2", "head.classifier", "*", "body.*", "nowhere"]
USUAL = {
    "data_root": [None, "nowhere"],
    "limit": [20, 40, 10**6],
    "validation": [0.02, 0.1, 0.5],
    "augment": [[], ["crop"], ["flip", "cutout"]],
    "image_size": [None, 4, 8, 9],
    "batch_size": [1, 7, 10, 40, 64],
    "model": ["vgg-small"] * 8 + ["vgg9", "nothing"],
    "model_args": [
        {},
        {"widths": [2], "strides": [1]},
        {"widths": [2, 2, 4], "strides": [2, 1, 1], "hidden": [5]},
        {"widths": [1, 1], "strides": [4, 4], "head": "flatten"},
        {"width": 0.05},
    ],
    "weights": [None] * 4 + ["nowhere.safetensors"],
    "time_steps": [1, 2, 3],
    "sparsity": [None, 0.05, 0.3, 0.7, 0.9, 0.99],
    "regrow_fraction": [None, 0.0, 0.1, 0.5, 0.9],
    "every": [None, 1, 2, 3, 50],
    "rate_penalty": [0, 0.5],
    "synops_penalty": [0, 0.5],
    "teacher.weight": [0, 0, 0.7, 1],
    "teacher.temperature": [0.5, 2, 10],
    "initial_density": [None, 0.3, 0.9, 1.0],
    "within": [{}] * 4 + [{"weights": 0.2}, {"synops": 0.3}, {"energy": 0.9}, {"macs": 0.5}],
    "floor": [None, 0, 0.2, 1],
    "include": [[], ["body.*"], ["nowhere"]],
    "exclude": [[], ["head.*"], ["stem.conv", "body.conv2"], ["*"]],
    "limits": [{}, {"stem.conv": [0.5, 1]}, {"*": [0, 0.4]}, {"body.conv2": [0.9, 0.95]}],
    "extensions": [[], ["math"], ["no_such_module"]],
    "imp.share": [0.25, 0.5, 0.9],
    "imp.rounds": [None, 1, 2],
    "imp.rewind": [None, 0, 1],
    "criticality.batches": [1, 2, 9],
    "channels.floor": [1, 2],
    "channels.round_to": [1, 2, 4],
    "channels.l1": [0, 1e-3],
    "epochs.prune": [0, 1, 2],
    "epochs.finetune": [0, 1],
    "epochs.dense": [None, 0, 1],
    "optimizer.lr": [1e-4, 0.1, 3.0],
    "optimizer.momentum": [0, 0.9],
    "optimizer.weight_decay": [0, 0.01],
    "optimizer.clip_norm": [None, 0.1, 5],
    "seed": [0, 1, 2**40],
    "threads": [None, 1],
    "device": ["cpu"] * 5 + ["auto", "cuda"],
    "compile": ["auto", "off"],  # compiling takes tens of seconds
}
"""Usual values of the fields that have no closed list, by dotted name."""
EXTREME = [
    *(0, -1, 1, 2, 0.5, 1.0, 1.0000001, -0.0, 1e-300, 1e300, 10**6, 10**9, 10**12, 10**400),
    *(2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), math.nan, math.inf, -math.inf),
    *(True, False, None, "", " ", "\n", "\0", "é✓", "\ud800", "a" * 300, "a" * 10**5, "..", "~"),
    *("/dev/null", ":", "a:", ":b", "math:nothing", "null", "1e3", "nan", "*", "[", "{}"),
    *([], {}, [[]], [None], [0], ["a", "a"], {"a": {}}, {"": None}, {1: 2}, {"a": [0, 1]}),
    *(list(range(10**4)), datetime.date(2024, 2, 29), b"\xff", {"widths": []}),
    *({"widths": 3}, {"widths": [0], "strides": [1]}, {"widths": [-1], "strides": [1]}),
    *({"widths": [10**9], "strides": [1]}, {"widths": [math.nan], "strides": [1]}),
    *({"widths": [2], "strides": [10**6]}, {"widths": [2], "strides": [0]}, {"hidden": [0]}),
    *({"widths": [2.5], "strides": [1]}, {"widths": ["a"], "strides": [1]}, {"width": 0}),
    *({"*": [math.nan, 1]}, {"*": [0.2]}, {"*": [0, 1e-300]}, {"*": [1, 1]}, ["*", "", "["]),
]
"""Values that some field may take, most fields not."""
_ALMOST_FREE = {"threads": [10**6, 2**31, 0, -1], "compile": ["", 0], "out": ["", "a" * 300, "\0"]}
"""Fields whose extreme values cost the machine rather than spikeprune."""


def leaves(cls, prefix=""):
    """Yield the dotted name of every field that is no dataclass."""
    for name, hint in get_type_hints(cls).items():
        if is_dataclass(hint):
            yield from leaves(hint, f"{prefix}{name}.")
        else:
            yield prefix + name


def usual_values():
    """Return the usual values of every field by dotted name."""
    closed = {name: list(values) for name, values in choices(RunConfig).items()}
    closed["method"] = ["auto", "dense", *sorted({method.name for method in all_methods()})]
    found = {name: closed.get(name, [True, False]) for name in leaves(RunConfig)} | USUAL
    return {name: values for name, values in found.items() if name not in ("data", "out")}


def put(values, name, value):
    """Set a field by its dotted name."""
    first, _, rest = name.partition(".")
    if not rest:
        values[first] = value
        return
    part = values.get(first)
    values[first] = dict(part) if isinstance(part, dict) else {}
    put(values[first], rest, value)


def usual(dice: random.Random):
    """Return a recipe whose values all look valid; two fields in three are left alone or more."""
    fields = usual_values()
    values = dict(TINY)
    for name in dice.sample(sorted(fields), dice.choice([1, 2, 3, 5, 8, 20])):
        put(values, name, dice.choice(fields[name]))
    return values


def _extreme_of(name, dice):
    """Return extreme values: of the field's own kind in two draws of three, else of any."""
    kinds = {type(value) for value in usual_values().get(name, [])} - {type(None)}
    if kinds & {int, float}:
        kinds |= {int, float}
    own = [value for value in EXTREME if type(value) in kinds]
    return own if own and dice.random() < 2 / 3 else EXTREME


def extreme(dice: random.Random):
    """Return a recipe with one to three values that are extreme or of a wrong kind."""
    values = usual(dice) if dice.random() < 0.3 else dict(TINY)
    names = sorted({*leaves(RunConfig), "epochs", "optimizer", "imp", "unknown", ""})
    for name in dice.sample(names, dice.choice([1, 1, 2, 3])):
        put(values, name, dice.choice(_ALMOST_FREE.get(name) or _extreme_of(name, dice)))
    return values
