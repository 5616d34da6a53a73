"""The figures of the report, in reading order."""

from spikeprune.lab.report.figures.activity import activity_figures
from spikeprune.lab.report.figures.regrowth import regrowth_figures
from spikeprune.lab.report.figures.structure import net_figures
from spikeprune.lab.report.figures.training import training_figures
from spikeprune.lab.report.plotly_parts import Figure
from spikeprune.lab.report.run_record import RunRecord


def figures(record: RunRecord) -> tuple[Figure, ...]:
    """Return all figures of the report, those without data included."""
    return (
        *training_figures(record),
        *net_figures(record),
        *regrowth_figures(record),
        *activity_figures(record),
    )
