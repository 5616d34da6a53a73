import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare import comparison_of_runs, jobs, write_results
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.load_and_write import Results


def test_runs_from_anywhere(finished, tmp_path):
    config = finished({"magnitude": [0.7, 0.8], "criticality": [0.75, 0.85]})
    folders = [job.folder.path for job in jobs(config)]
    comparison = comparison_of_runs(folders, explore=[["criticality", "magnitude"]])
    (found,) = comparison.contrasts
    assert (found.named, found.paired.n) == (False, 2)
    page = write_results(comparison, tmp_path / "other")
    assert f"../study/cells/{folders[0].name}/report.html" in page.read_text()
    with pytest.raises(RunError, match="folder of a grid"):
        write_results(comparison, config.folder.path)
    with pytest.raises(ConfigError, match=r"pairs \[a, b\] of: magnitude, criticality"):
        comparison_of_runs(folders, explore=[["criticality", "dense"]])
    with pytest.raises(ConfigError, match="unknown select"):
        comparison_of_runs(folders, select="train")


def test_runs_with_and_without_a_teacher_are_compared_only_if_that_is_allowed(
    grid, finish, tmp_path
):
    folders = []
    for name, weight in (("alone", 0.0), ("taught", 0.7)):
        base = {"teacher": {"weight": weight}}
        (job,) = jobs(grid(methods=["magnitude"], seeds=[0], base=base, out=str(tmp_path / name)))
        finish(job)
        folders.append(job.folder.path)
    with pytest.raises(ConfigError, match=r"some of these runs learned from a teacher; .*--mixed"):
        comparison_of_runs(folders)
    for one in folders:
        comparison_of_runs([one])
    found = comparison_of_runs(folders, mixed_teachers=True)
    names = ["magnitude (teacher.weight 0.0)", "magnitude (teacher.weight 0.7)"]
    assert [row.method for row in found.rows] == names
    assert "The runs differ in teacher" in " ".join(found.notes)


def test_while_cells_come_in_the_tables_are_always_new_and_the_page_at_times(grid, finish):
    config = claim(grid(methods=["magnitude"], seeds=[0, 1, 2]))
    results, folder = Results(config), config.folder
    made = jobs(config)
    finish(made[0])
    results.update()
    first = folder.page.read_bytes()
    finish(made[1])
    results.update()  # within ten times what drawing took
    assert folder.page.read_bytes() == first
    assert folder.table("csv").read_text().count("0 1") == 1
    finish(made[2])
    results.write()
    assert folder.page.read_bytes() != first
    assert "3 runs" in folder.page.read_text()
