"""The figures of the report, in reading order."""

from spikeprune.lab.chart import Figure
from spikeprune.lab.figures_activity import activity_figures
from spikeprune.lab.figures_net import net_figures
from spikeprune.lab.figures_regrowth import regrowth_figures
from spikeprune.lab.figures_training import training_figures
from spikeprune.lab.record import Record

__all__ = ["figures"]


def figures(record: Record) -> tuple[Figure, ...]:
    """Return all figures of the report, those without data included."""
    return (
        *training_figures(record),
        *net_figures(record),
        *regrowth_figures(record),
        *activity_figures(record),
    )
