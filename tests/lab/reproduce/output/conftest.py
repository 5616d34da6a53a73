import pytest

from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell
from spikeprune.lab.reproduce import EXPERIMENTS, ExperimentResult, Reproduction
from spikeprune.lab.reproduce.output.charts import Chart, Series
from spikeprune.lab.reproduce.output.documents import Circumstances


@pytest.fixture
def circumstances():
    return Circumstances(
        scale="smoke",
        summary="tiny nets",
        evidence="No evidence.",
        command="spikeprune reproduce cost",
        seeds=(0, 1),
        cores=2,
    )


@pytest.fixture
def made():
    """One experiment with a table, a chart and a note, and one whose runs are missing."""
    rows = tuple(
        (TableCell(s), TableCell("a|b"), TableCell(f"{n}", n)) for n, s in enumerate("xyx")
    )
    tables = (Table("All", ("setting", "method", "n"), rows),)
    chart = Chart("chart", "Title", "Caption.", "y", (Series("one", (1.0,)),), names=("a",))
    result = ExperimentResult(tables, (chart,), ("Be careful.",), {"value": float("nan")})
    return [
        Reproduction(EXPERIMENTS["cost"], result, cells=()),
        Reproduction(EXPERIMENTS["fig2"], None, (), missing=("lost-run",)),
    ]
