"""Commands on a finished run: `spikeprune evaluate` and `spikeprune report`."""

from pathlib import Path

from spikeprune.commands.base import (
    DATA_ROOT,
    DEVICE,
    FOLDER,
    JSON,
    TRUST_CODE,
    Command,
    Options,
    show,
)
from spikeprune.lab.run_folder import ComparisonFolder


def _evaluate(options: Options) -> None:
    from spikeprune.lab.run.results.measure import evaluate_folder

    folder = Path(options["folder"]).expanduser()
    names = ("data_root", "device", "trust_code")
    found = evaluate_folder(folder, **{name: options[name] for name in names})
    show(dict(found), options)


def _report(options: Options) -> None:
    folder = Path(options["folder"]).expanduser()
    if ComparisonFolder(folder).config.is_file():
        from spikeprune.lab.compare import load_comparison, write_results

        print(f"page: {write_results(load_comparison(folder), folder)}")
        return
    from spikeprune.lab.report.report import write_report

    print(f"report: {write_report(folder)}")


EVALUATE = Command(
    "evaluate",
    _evaluate,
    "measure a finished run again, from its saved nets",
    "FOLDER [options]",
    (FOLDER, TRUST_CODE, DATA_ROOT, DEVICE, JSON),
)
REPORT = Command(
    "report",
    _report,
    "write the report of a finished run, or of a comparison, again",
    "FOLDER [options]",
    (FOLDER,),
)
