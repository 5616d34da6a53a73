"""Comparisons: a grid of runs that can be resumed run by run, and its tables and figures.

A cell of the grid is one run: a `Job` to be run, a `Cell` once it is finished.
"""

from spikeprune.lab.compare.compare import compare
from spikeprune.lab.compare.jobs.compare_config import CompareConfig, Machine
from spikeprune.lab.compare.jobs.grid import Job, jobs
from spikeprune.lab.compare.load_and_write import comparison_of_runs, load_comparison, write_results
from spikeprune.lab.compare.numbers.cells import Cell, load_cells
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.finished_runs import cells_of_runs
from spikeprune.lab.compare.numbers.rows_and_contrasts import Contrast, Row, contrasts, paired, rows

__all__ = [
    "Cell",
    "CompareConfig",
    "Comparison",
    "Contrast",
    "Job",
    "Machine",
    "Row",
    "cells_of_runs",
    "compare",
    "comparison_of_runs",
    "contrasts",
    "jobs",
    "load_cells",
    "load_comparison",
    "paired",
    "rows",
    "write_results",
]
