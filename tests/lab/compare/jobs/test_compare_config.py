import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.jobs.grid import jobs


def test_it_is_read_as_it_was_written(grid):
    config = grid(
        variants={"mean": {"method": "criticality", "criticality.space": "mean"}},
        pairs=[["criticality", "magnitude"]],
        explore=[["mean", "criticality"]],
        machine={"jobs": 3, "engine": "ray"},
        select="validation",
    )
    assert claim(config) == config
    assert CompareConfig.load(config.folder) == config


def test_a_folder_that_was_moved_is_read_where_it_lies(grid, tmp_path):
    config = claim(grid())
    moved = config.folder.path.rename(tmp_path / "elsewhere")
    found = CompareConfig.load(type(config.folder)(moved))
    assert {job.config.folder.parent for job in jobs(found)} == {moved / "cells"}


def test_what_the_grid_decides_is_no_part_of_the_base(grid):
    given = {"method": "magnitude", "sparsity": 0.5, "seed": 7, "out": "somewhere"}
    assert grid(base=given) == grid()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": []}, "nothing to compare"),
        ({"seeds": []}, "at least one seed"),
        ({"seeds": [0, 1, 0]}, "seeds: 0 is given twice"),
        ({"sparsities": [0.9, 0.9]}, "0.9 is given twice"),
        ({"variants": {"dense": {"method": "dense"}}}, "dense is given twice"),
        ({"pairs": [["dense", "granet"]]}, "unknown method of a pair 'granet'"),
        ({"explore": [["dense", "dense"]]}, "a pair: dense is given twice"),
        ({"settings": {"a": {}}, "models": ["vgg9"]}, "--settings, or --models"),
        ({"machine": {"engine": "slurm"}}, "unknown engine 'slurm'"),
        ({"machine": {"jobs": 0}}, "jobs to be from 1 to 1,024"),
        ({"machine": {"retries": -1}}, "retries to be from 0"),
        ({"select": "train"}, "unknown select 'train'"),
    ],
)
def test_what_makes_no_grid_is_refused(grid, fields, words):
    with pytest.raises(ConfigError, match=words):
        grid(**fields).check()


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"pairs": [["a", "b", "c"]]}, "expected 2 values"), ({"seeds": ["x"]}, "a whole number")],
)
def test_wrong_types_are_refused(grid, fields, words):
    with pytest.raises(ConfigError, match=words):
        grid(**fields)


def test_no_comparison(tmp_path, grid):
    with pytest.raises(RunError, match=r"has no compare\.yaml"):
        CompareConfig.load(grid().folder)
    config = claim(grid())
    config.folder.config.write_text("base: {data: digits}\n")
    with pytest.raises(ConfigError, match=r"compare\.yaml: base\.model is missing"):
        CompareConfig.load(config.folder)
