"""`spikeprune reproduce`: the paper's figures and tables, at one of three scales."""

import textwrap

from rich.console import Console

from spikeprune.commands.base import Command, Options, flag, interruptible, positional
from spikeprune.lab.run.progress.display import make_display

_LIST = "fig2 fig3a fig3b fig4 fig5 fig6 table-unstructured table-structured cost entropy"
_NAMES = tuple(_LIST.split())
_SCALES = ("smoke", "cpu", "paper")
_DESCRIPTION = f"""\
Make figures and tables of the paper from your own runs, beside the paper's
numbers. NAME is all, or some of:

{textwrap.indent(textwrap.fill(", ".join(_NAMES), 76, break_on_hyphens=False), "  ")}

Runs that several of them need are run once. The same command continues where it
stopped. Writes reproduce.html, and a JSON and a Markdown file per name."""
_EPILOG = """\
scales:
  smoke  digits, two tiny nets, one seed; minutes; no evidence
  cpu    CIFAR-10 and Fashion-MNIST, small nets, three seeds; hours on 2 cores
  paper  CIFAR-100, VGG16 and ResNet19, T 5, 500 epochs; needs a GPU

examples:
  spikeprune reproduce all --scale smoke
  spikeprune reproduce fig2 cost --scale cpu --seeds '[0, 1, 2, 3]'"""


_ARGUMENTS = (
    positional("names", "NAME", "what to make, or all", nargs="+"),
    flag("scale", str, "NAME", f"{' | '.join(_SCALES)} (default: smoke)", default="smoke"),
    flag("seeds", list[int], "[N,M]", "seeds (default: the scale's)"),
    flag("out", str, "PATH", "folder (default: runs/reproduce/SCALE)"),
    flag("jobs", int, "N", "runs at once (default: one for every --threads cores)"),
    flag("threads", int, "N", "CPU threads of a run"),
    flag("data_root", str, "PATH", "folder with local copies of the data"),
    flag("device", str, "NAME", "cpu, cuda or auto (default: as the scale says)"),
)


def _reproduce(options: Options) -> None:
    from spikeprune.lab.compare import Machine
    from spikeprune.lab.reproduce import SCALES, Request, reproduce
    from spikeprune.lab.reproduce.output.terminal import print_experiments

    given = {n: options[n] for n in ("out", "threads", "data_root", "device") if n in options}
    if "seeds" in options:
        given["seeds"] = tuple(options["seeds"])
    request = Request(
        names=tuple(options["names"]),
        scale=options["scale"],
        machine=Machine(jobs=options.get("jobs")),
        **given,
    )
    with interruptible("the runs", request.folder.path), make_display() as display:
        page, done = reproduce(request, display)
    print_experiments(Console(), done)
    print(f"\n{SCALES[request.scale].evidence}")
    print(f"page: {page}")


REPRODUCE = Command(
    "reproduce",
    _reproduce,
    "the paper's figures and tables, from your own runs",
    "NAME [NAME ...] [--scale SCALE] [options]",
    _ARGUMENTS,
    description=_DESCRIPTION,
    epilog=_EPILOG,
)
