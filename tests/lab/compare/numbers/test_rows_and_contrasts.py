from dataclasses import replace

import pytest

from spikeprune.lab.compare import load_cells
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.numbers.columns import name_of
from spikeprune.lab.compare.numbers.rows_and_contrasts import (
    code_notes,
    contrasts,
    dead_notes,
    differences_of,
    mixes_teachers,
    paired,
    rows,
    teacher_notes,
)
from spikeprune.lab.compare.numbers.statistics import holm, paired_interval


def cells_of(config):
    return load_cells(config.folder.path)


def test_a_row_is_mean_and_spread_over_its_seeds(finished):
    cells = cells_of(finished({"magnitude": [0.7, 0.8, 0.9], "criticality": [0.5]}))
    first, second = rows(cells)
    assert (first.method, first.sparsity, first.seeds) == ("magnitude", 0.8, (0, 1, 2))
    found = first.summary("test_accuracy")
    assert (found.n, found.mean, found.std) == (3, pytest.approx(0.8), pytest.approx(0.1))
    assert (second.summary("drop").n, second.summary("drop").std) == (1, None)
    assert second.summary("drop").mean == pytest.approx(0.4)


def test_pairs_are_of_the_same_seed_and_only_those(finished):
    cells = cells_of(finished({"magnitude": [0.70, 0.80, 0.5], "criticality": [0.72, 0.81]}))
    (found,) = paired(cells, "criticality", "magnitude")
    assert (found.a, found.b, found.sparsity) == ("criticality", "magnitude", 0.8)
    assert found.seeds == (0, 1)
    assert found.differences == (pytest.approx(0.02), pytest.approx(0.01))
    assert found.paired == paired_interval(list(found.differences))
    (other,) = paired(cells, "magnitude", "criticality")
    assert other.paired.mean == pytest.approx(-found.paired.mean)


def test_a_method_that_prunes_nothing_is_paired_with_every_sparsity(finished):
    config = finished({"magnitude": [0.7, 0.8], "dense": [0.9, 0.9]}, sparsities=[0.8, 0.9])
    found = paired(cells_of(config), "magnitude", "dense")
    assert [one.sparsity for one in found] == [0.8, 0.9]
    assert [one.paired.mean for one in found] == [pytest.approx(-0.15)] * 2


def test_settings_are_not_mixed(finished):
    config = finished(
        {"magnitude": [0.7], "criticality": [0.8]},
        settings={"a": {}, "b": {"time_steps": 3}},
    )
    cells = cells_of(config)
    assert [one.setting for one in paired(cells, "criticality", "magnitude")] == ["a", "b"]
    assert len(rows(cells)) == 4


def test_the_ratio_of_operations_is_the_mean_of_the_ratios_at_each_seed(grid, finish):
    config = claim(grid(methods=["magnitude", "criticality"], seeds=[0, 1]))
    for job, synops in zip(jobs(config), (100, 300, 150, 650), strict=True):
        finish(job, synops=synops)
    cells = cells_of(config)
    ratio = paired(cells, "criticality", "magnitude")[0].synops
    assert ratio == pytest.approx((150 / 100 + 650 / 300) / 2)  # not 800 / 400, that of the sums
    (found,) = paired(cells, "criticality", "magnitude", value="synops")
    assert found.differences == (50, 350)


def test_each_family_of_contrasts_is_corrected_by_itself(finished):
    config = finished(
        {
            "magnitude": [0.70, 0.71, 0.74],
            "criticality": [0.75, 0.77, 0.78],
            "random-regrow": [0.71, 0.73, 0.74],
            "dense": [0.80, 0.80, 0.80],
        },
    )
    explore = [("random-regrow", "magnitude"), ("criticality", "dense"), ("dense", "magnitude")]
    found = contrasts(cells_of(config), [("criticality", "magnitude")], explore)
    assert [one.named for one in found] == [True, False, False, False]
    assert found[0].corrected == found[0].paired.p
    assert [one.corrected for one in found[1:]] == holm([one.paired.p for one in found[1:]])


def test_a_contrast_without_a_p_value_takes_no_part_in_the_correction(finished):
    config = finished({"magnitude": [0.7], "criticality": [0.75], "dense": [0.8]})
    found = contrasts(cells_of(config), [], [("criticality", "magnitude"), ("dense", "magnitude")])
    assert [(one.paired.n, one.paired.p, one.corrected) for one in found] == [(1, None, None)] * 2


def test_differences_are_told_and_the_rows_marked(grid, finish):
    config = claim(grid(seeds=[0, 1, 2]))
    for job in jobs(config):
        finish(job, threads=1 if job.method == "magnitude" and job.seed == 2 else 4)
    (found,) = differences_of(cells_of(config))
    assert (found.fact, found.values) == ("threads", (("4", 8), ("1", 1)))
    assert found.rows == {("digits, vgg-small", "magnitude", 0.8)}


def test_settings_that_differ_are_told_without_a_mark(grid, finish):
    config = claim(grid(settings={"a": {}, "b": {}}, methods=["magnitude"]))
    for job in jobs(config):
        finish(job, time_steps=4 if job.setting == "a" else 8)
    (found,) = differences_of(cells_of(config))
    assert (found.fact, found.rows) == ("T", frozenset())


@pytest.mark.parametrize(
    ("fact", "metrics"),
    [
        ("code", {"versions": {"code": "12345678"}}),
        ("your code", {"identity": {"source": {"nets.py": "12345678"}}}),
        ("content of the data", {"identity": {"data": "12345678"}}),
        ("data", {"data": {"label": "another", "name": "x", "classes": [], "samples": {}}}),
        ("net", {"model": {"name": "vgg9", "arguments": {}}}),
        ("T", {"time_steps": 9}),
        ("epochs", {"cost": {"total_epochs": 99}}),
        ("device", {"device": "cuda"}),
        ("precision", {"precision": "other"}),
    ],
)
def test_every_such_fact_is_noticed(grid, finish, fact, metrics):
    config = claim(grid(methods=["magnitude", "criticality"], seeds=[0]))
    first, second = jobs(config)
    finish(first)
    finish(second, **metrics)
    assert fact in [one.fact for one in differences_of(cells_of(config))]


def test_settings_have_code_and_data_of_their_own(grid, finish):
    config = claim(grid(settings={"a": {}, "b": {}}, methods=["magnitude", "criticality"]))
    for job in jobs(config):
        finish(job, identity={"source": {f"{job.setting}.py": "1"}, "data": job.setting})
    assert differences_of(cells_of(config)) == code_notes(cells_of(config)) == []


def test_runs_with_other_code_than_the_rest_are_named(grid, finish):
    config = claim(grid(methods=["magnitude", "criticality"], seeds=[0, 1]))
    for job in jobs(config):
        edited = job.method == "criticality" and job.seed == 1
        source = {"nets.py": "new" if edited else "old"}
        code = "1234" if job.method == "magnitude" and job.seed == 0 else "5678"
        finish(job, identity={"source": source}, versions={"code": code})
    package, own = code_notes(cells_of(config))
    assert package.startswith("Made with other code than the rest of digits, vgg-small (code: ")
    assert "+5678): magnitude, seed 0 (" in package
    assert "+1234); run them again" in package
    assert "(your code: nets.py old): criticality, seed 1 (nets.py new); run" in own


TAUGHT = {"method": "criticality", "teacher.weight": 0.7}


def test_runs_that_had_a_teacher_are_named_where_others_had_none(grid, finish):
    config = claim(grid(methods=["dense", "magnitude"], variants={"taught": TAUGHT}, seeds=[3]))
    for job in jobs(config):
        finish(job)
    cells = cells_of(config)
    assert mixes_teachers(cells)
    (note,) = teacher_notes(cells)
    assert "did not have: taught (digits, vgg-small)." in note
    (found,) = (one for one in differences_of(cells) if one.fact == "teacher")
    assert dict(found.values) == {"weight 0.7, temperature 2.0": 1, "none": 1}  # none is dense
    (marked,) = found.rows
    assert marked[1] in ("taught", "magnitude")


def test_a_teacher_of_all_is_no_difference_but_said(grid, finish):
    config = claim(grid(base={"teacher": {"weight": 0.7}}, methods=["dense", "magnitude"]))
    for job in jobs(config):
        finish(job)
    cells = cells_of(config)
    assert not mixes_teachers(cells)
    assert not [one for one in differences_of(cells) if one.fact == "teacher"]
    assert teacher_notes(cells) == [
        "Every pruned net learned from the dense net of its seed, as its teacher."
    ]


def test_a_row_with_a_dead_net_is_marked_and_named(finished):
    alive, dead = rows(cells_of(finished({"magnitude": [0.7, 0.8], "criticality": [0.5, 0.5]})))
    first = replace(dead.cells[0], warnings=("the pruned net: no neuron fires",))
    dead = replace(dead, cells=(first, *dead.cells[1:]))
    assert (alive.dead, dead.dead) == (False, True)
    (note,) = dead_notes([alive, dead])
    assert note.startswith("[!] No success: criticality at 80 % on ")
    assert "seed 0: the pruned net: no neuron fires" in note
    assert name_of(dead, ()) == "criticality [!]"
    assert name_of(alive, ()) == "magnitude"
