"""`spikeprune analyze`: analysis of one or two finished runs beyond their reports."""

import json
import sys
from pathlib import Path

from rich.console import Console

from spikeprune.commands.base import (
    DATA_ROOT,
    DEVICE,
    JSON,
    TRUST_CODE,
    Command,
    Options,
    flag,
    positional,
    switch,
)

_DESCRIPTION = """\
Analyse a finished run: spike entropy against criticality and firing rate,
features by class, the places of regrowth, change per class and layer. With two
runs also the overlap of their masks and the importance of the channels that
only one kept. Writes analysis.json and analysis.html."""

_OUT = "folder to write to (default: the run's; of two, one beside the first)"
_SAMPLES = "run the nets on at most N samples of training and test set (default: 10000)"
_ARGUMENTS = (
    positional("folder", "RUN", "folder of a finished run"),
    positional("other", "RUN", "a second run, to compare with", nargs="?", default=None),
    flag("out", str, "PATH", _OUT, default=None),
    flag("samples", int, "N", _SAMPLES, default=10_000),
    switch("files_only", "read files alone: no data, no entropy, no features"),
    TRUST_CODE,
    DATA_ROOT,
    DEVICE,
    JSON,
)


def _analyze(options: Options) -> None:
    from spikeprune.lab.analysis import analyze
    from spikeprune.lab.analysis.output.terminal import print_analysis

    folders = [Path(f).expanduser() for f in (options["folder"], options["other"]) if f]
    found, page = analyze(
        folders,
        out=Path(options["out"]).expanduser() if options["out"] else None,
        data_root=options["data_root"],
        device=options["device"],
        samples=options["samples"],
        files_only=options["files_only"],
        trust_code=options["trust_code"],
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if options["json"]:
        print(json.dumps(found, indent=2))
    else:
        print_analysis(Console(), found)
        print(f"analysis: {page}")


ANALYZE = Command(
    "analyze",
    _analyze,
    "entropy, features, masks and regrowth of one or two finished runs",
    "RUN [RUN] [options]",
    _ARGUMENTS,
    description=_DESCRIPTION,
)
