import pytest

from spikeprune.errors import RunError
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.folder_claim import claim, joined
from spikeprune.lab.compare.jobs.grid import jobs


def test_a_later_call_adds_to_the_lists(grid):
    claim(grid(methods=["dense", "magnitude"], pairs=[["magnitude", "dense"]]))
    later = grid(methods=["criticality"], seeds=[1, 2], sparsities=[0.9], select="validation")
    both = claim(later)
    assert both.methods == ("dense", "magnitude", "criticality")
    assert both.seeds == (0, 1, 2)
    assert both.sparsities == (0.8, 0.9)
    assert both.pairs == (("magnitude", "dense"),)
    assert both.select == "validation"
    assert CompareConfig.load(later.folder) == both


def test_pairs_are_named_beforehand_only_before_there_are_results(grid, finish):
    first = claim(grid(pairs=[["criticality", "magnitude"]]))
    second = claim(grid(pairs=[["criticality", "dense"]]))
    assert second.pairs == (("criticality", "magnitude"), ("criticality", "dense"))
    finish(jobs(first)[0])
    third = claim(grid(pairs=[["magnitude", "dense"], ["criticality", "dense"]]))
    assert third.pairs == second.pairs
    assert third.explore == (("magnitude", "dense"),)
    again = claim(grid(pairs=[["magnitude", "dense"]], explore=[["criticality", "magnitude"]]))
    assert (again.pairs, again.explore) == (third.pairs, third.explore)


def test_a_folder_in_which_teachers_were_mixed_stays_such_a_folder(grid):
    assert not claim(grid()).mixed_teachers
    assert claim(grid(mixed_teachers=True)).mixed_teachers
    assert claim(grid()).mixed_teachers


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base": {"time_steps": 4}}, "time_steps: 2 there, 4 now"),
        ({"base": {"epochs": {"prune": 5}}}, r"epochs.finetune: 1 there, 10 now; epochs.prune"),
        ({"variants": {"v": {"method": "magnitude"}}}, r"variants.v: .*dense.* there, .*magnitude"),
        ({"settings": {"s": {}}}, "settings: {} there"),
    ],
)
def test_another_comparison_in_the_folder_is_refused_and_stays(grid, fields, words):
    config = claim(grid(variants={"v": {"method": "dense"}}))
    before = config.folder.config.read_bytes()
    with pytest.raises(RunError, match=words):
        claim(grid(**fields))
    assert config.folder.config.read_bytes() == before


def test_foreign_files_are_left_alone(grid, tmp_path):
    place = tmp_path / "study"
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="files that are not a comparison"):
        joined(grid())
    with pytest.raises(RunError, match="is a file"):
        joined(grid(out=str(place / "notes.txt")))
    assert [path.name for path in place.iterdir()] == ["notes.txt"]


def test_dense_nets_may_be_brought_along(grid, tmp_path):
    nets = tmp_path / "study" / "cells" / ".dense"
    nets.mkdir(parents=True)
    assert claim(grid()).folder.config.is_file()
    assert nets.is_dir()


def test_runs_without_a_grid_are_not_taken_over(grid, tmp_path):
    for name in (".dense", "mine"):
        (tmp_path / "study" / "cells" / name).mkdir(parents=True)
    with pytest.raises(RunError, match="files that are not a comparison"):
        joined(grid())
