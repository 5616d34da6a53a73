"""A run of a second: its command, and what must be the same in two runs."""

import gc
import hashlib
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache

import torch

from spikeprune import cli
from spikeprune.measuring import latency
from spikeprune.science import health

OPTIONS = [
    *("--recipe", "smoke", "--limit", "128", "--time_steps", "2", "--every", "2", "--threads", "1"),
    *("--model_args.widths", "[4,8]", "--model_args.strides", "[1,2]"),
    *("--epochs.dense", "2", "--epochs.prune", "2", "--epochs.finetune", "1"),
]
RUN = ["run", *OPTIONS, "--out", "r"]
"""The command of a whole run, in a folder of its own as working folder."""
SEARCH = ["search", *OPTIONS, "--max-drop", "99", "--runs", "1", "--out", "s"]
GRID = [
    *("compare", *OPTIONS, "--methods", "[criticality]", "--sparsities", "[0.8]"),
    *("--seeds", "[0]", "--jobs", "1", "--out", "c"),
]

_TIMES = re.compile(
    r"seconds|latency|peak_rss|event_driven|command|folder|wall|^time$|^run$|notes|code|spent"
)
_NOISE = re.compile(r"(^|/)(logs/|manifest\.json$|\.lock$|analysis|figures/)|\.dense/|checkpoints/")
_TEMPORARY = re.compile(r"\.(part|tmp)$|^\..*\.tmp|^\.tmp")


def warm(folder):
    """Do once what every child then has: imports by a first run, the parser, short latencies."""
    latency._ROUNDS, latency._SECONDS = (1, 1), 0.0
    health.LEVEL = 1.0  # nets of a second may be at chance
    cli._parser = cache(cli._parser)
    torch.set_num_threads(1)
    out = ["--out", str(folder)]
    for argv in (RUN[:-2] + out, ["analyze", str(folder)], ["compare", str(folder), *out]):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            cli.main(argv)
    gc.freeze()  # children then share this memory


def without_times(value):
    """Return JSON without what differs from one run to the next."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not _TIMES.search(k)}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def _content(path):
    with suppress(ValueError):  # what is no JSON is compared byte by byte
        if path.suffix == ".json":
            return without_times(json.loads(path.read_text()))
        if path.name == "history.jsonl":
            return [without_times(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".html":
        return path.stat().st_size > 10**6
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bits(folder):
    """Return what counts of all files below a folder, by name; checkpoints hold times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "tfevents" in name:
            found[f"{path.parent.relative_to(folder)}/tfevents"] = True
        elif (
            path.is_file()
            and "checkpoints/" not in name
            and not (_NOISE.search(name) or _is_temporary(path))
        ):
            found[name] = _content(path)
    return found


def strewn(folder):
    """Return the temporary files below a folder."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if _is_temporary(p))
    return sorted(name for name in names if not name.startswith("elsewhere/"))


def _is_temporary(path):
    return bool(_TEMPORARY.search(path.name)) and path.is_file()
