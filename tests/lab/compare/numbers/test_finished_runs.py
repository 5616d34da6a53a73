import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.numbers.finished_runs import cells_of_runs


def write(finish, grid, where, **fields):
    """Finish the only cell of a grid in a folder of its own."""
    config = grid(out=str(where), seeds=[fields.pop("seed", 0)], **fields)
    (job,) = jobs(config)
    finish(job)
    return job.folder.path


def test_runs_from_anywhere_are_cells_named_by_what_differs(grid, finish, tmp_path):
    runs = [
        write(finish, grid, tmp_path / "a", methods=["criticality"]),
        write(finish, grid, tmp_path / "b", methods=["criticality"], base={"regrow_fraction": 0.1}),
        write(finish, grid, tmp_path / "c", methods=["magnitude"], seed=1),
        write(finish, grid, tmp_path / "d", methods=["dense"], sparsities=[]),
    ]
    found = [(cell.method, cell.seed) for cell in cells_of_runs(runs)]
    assert found == [
        ("dense", 0),
        ("criticality (regrow_fraction default)", 0),
        ("criticality (regrow_fraction 0.1)", 0),
        ("magnitude", 1),
    ]


def test_runs_that_cannot_be_told_apart_are_refused(grid, finish, tmp_path):
    one = write(finish, grid, tmp_path / "a", methods=["magnitude"])
    same = write(finish, grid, tmp_path / "b", methods=["magnitude"])
    with pytest.raises(ConfigError, match="same cell"):
        cells_of_runs([one, same])
    with pytest.raises(ConfigError, match="given 2 times"):
        cells_of_runs([one, one / ".." / one.name])
    with pytest.raises(RunError, match="folder of a run"):
        cells_of_runs([one, tmp_path])
    (one / "metrics.json").unlink()
    with pytest.raises(RunError, match="finished run"):
        cells_of_runs([one])
