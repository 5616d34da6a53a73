"""Comparisons: a grid of runs, resumable cell by cell, and the tables and figures it gives.

`compare` runs a `CompareConfig`; `load_cells` reads what is finished; `rows`, `paired` and
`contrasts` are the numbers.
"""

from spikeprune.lab.compare.cells import Cell, load_cells
from spikeprune.lab.compare.config import CompareConfig, Machine
from spikeprune.lab.compare.drive import compare
from spikeprune.lab.compare.grid import Job, jobs
from spikeprune.lab.compare.result import Comparison
from spikeprune.lab.compare.results import (
    comparison_of_runs,
    load_comparison,
    write_results,
)
from spikeprune.lab.compare.runs import cells_of_runs
from spikeprune.lab.compare.table import Contrast, Row, contrasts, paired, rows

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
