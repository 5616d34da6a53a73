"""`spikeprune reproduce`: the paper's figures and tables, at one of three scales."""

import textwrap

from jsonargparse import SUPPRESS
from rich.console import Console

from spikeprune.commands.base import Argument, Command, Options
from spikeprune.lab.run.progress.display import make_display

_NAMES = (
    *("fig2", "fig3a", "fig3b", "fig4", "fig5", "fig6"),
    *("table-unstructured", "table-structured", "cost", "entropy"),
)
_SCALES = ("smoke", "cpu", "paper")
_DESCRIPTION = f"""\
Make figures and tables of the paper from runs of your own; what the paper shows
stands beside what was measured. NAME is all, or some of:

{textwrap.indent(textwrap.fill(", ".join(_NAMES), 76, break_on_hyphens=False), "  ")}

Runs that several of them need are run once. The same command again goes on
where it stopped. Writes reproduce.html, and a JSON and a Markdown file by name."""
_EPILOG = """\
scales:
  smoke  digits, two tiny nets, one seed; minutes; no evidence
  cpu    CIFAR-10 and Fashion-MNIST, small nets, three seeds; hours on 2 cores
  paper  CIFAR-100, VGG16 and ResNet19, T 5, 500 epochs; needs a GPU

examples:
  spikeprune reproduce all --scale smoke
  spikeprune reproduce fig2 cost --scale cpu --seeds '[0, 1, 2, 3]'"""


def _flag(name: str, kind: object, metavar: str, text: str) -> Argument:
    options = {"type": kind, "default": SUPPRESS, "metavar": metavar, "help": text}
    return Argument(f"--{name}", options)


_ARGUMENTS = (
    Argument(
        "names", {"type": str, "nargs": "+", "metavar": "NAME", "help": "what to make, or all"}
    ),
    Argument(
        "--scale",
        {
            **{"type": str, "default": "smoke", "metavar": "NAME"},
            "help": f"{' | '.join(_SCALES)} (default: smoke)",
        },
    ),
    _flag("seeds", list[int], "[N,M]", "seeds (default: the scale's)"),
    _flag("out", str, "PATH", "folder (default: runs/reproduce/SCALE)"),
    _flag("jobs", int, "N", "runs at once (default: one for every --threads cores)"),
    _flag("threads", int, "N", "CPU threads of a run"),
    _flag("data_root", str, "PATH", "folder with local copies of the data"),
    _flag("device", str, "NAME", "cpu, cuda or auto (default: as the scale says)"),
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
    try:
        with make_display() as display:
            page, done = reproduce(request, display)
    except KeyboardInterrupt:
        folder = request.folder.path
        raise KeyboardInterrupt(f"the same command goes on with the runs in {folder}") from None
    print_experiments(Console(), done)
    print(f"\n{SCALES[request.scale].evidence}")
    print(f"page: {page}")


REPRODUCE = Command(
    "reproduce",
    _reproduce,
    "the paper's figures and tables, from runs of your own",
    "NAME [NAME ...] [--scale SCALE] [options]",
    _ARGUMENTS,
    description=_DESCRIPTION,
    epilog=_EPILOG,
)
