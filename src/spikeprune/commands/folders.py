"""Commands on a finished run: `spikeprune evaluate` and `spikeprune report`."""

from pathlib import Path

from spikeprune.commands.base import DATA_ROOT, DEVICE, FOLDER, JSON, Command, Options, show

__all__ = ["EVALUATE", "REPORT"]


def _evaluate(options: Options) -> None:
    from spikeprune.lab.evaluate_run import evaluate_folder

    folder = Path(options["folder"]).expanduser()
    show(evaluate_folder(folder, data_root=options["data_root"], device=options["device"]), options)


def _report(options: Options) -> None:
    from spikeprune.lab.report import write_report

    print(f"report: {write_report(Path(options['folder']).expanduser())}")


EVALUATE = Command(
    "evaluate",
    _evaluate,
    "measure a finished run again, from its saved nets",
    "FOLDER [options]",
    (FOLDER, DATA_ROOT, DEVICE, JSON),
)
REPORT = Command(
    "report",
    _report,
    "write report.html of a finished run again",
    "FOLDER [options]",
    (FOLDER,),
)
