import importlib

import pytest

from spikeprune.errors import ConfigError, SpikePruneError
from spikeprune.lab.compare.jobs import refuse_impossible as preflight
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.refuse_impossible import (
    refuse_impossible,
    refuse_mixed_teachers,
)

assemble = importlib.import_module("spikeprune.data.load")  # not the function


@pytest.fixture
def counted(monkeypatch):
    """How often data were read, and training was tried."""
    counts = {"read": 0, "train": 0, "prune": 0}

    def counting(module, name, key):
        original = getattr(module, name)

        def function(*args, **kwargs):
            counts[key] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, function)

    counting(assemble, "_read", "read")
    counting(preflight, "try_training", "train")
    counting(preflight, "try_pruning", "prune")
    return counts


def test_a_possible_grid_is_tried_once_per_net_and_read_once(grid, counted, tmp_path):
    config = grid(methods=["dense", "magnitude", "criticality"], sparsities=[0.5, 0.8])
    refuse_impossible(jobs(config))
    assert counted == {"read": 1, "train": 1, "prune": 5}
    assert not config.folder.path.exists()


def test_each_net_and_number_of_time_steps_is_tried(grid, counted):
    settings = {"a": {}, "b": {"model_args": {"widths": [4, 4]}}, "c": {"time_steps": 3}}
    refuse_impossible(jobs(grid(methods=["magnitude"], settings=settings)))
    assert (counted["train"], counted["prune"]) == (3, 3)


TAUGHT = {"method": "magnitude", "teacher.weight": 0.7}


def test_a_net_is_tried_with_each_teacher(grid, counted):
    steps = TAUGHT | {"teacher.per_step": True}
    config = grid(methods=["magnitude"], variants={"taught": TAUGHT, "per step": steps})
    refuse_impossible(jobs(config))
    assert counted["train"] == 3


def test_methods_with_and_without_a_teacher_are_not_mixed(grid):
    mixed = grid(methods=["dense", "criticality"], variants={"taught": TAUGHT})
    words = (
        r"^taught at sparsity 0.8, seed 0 \(digits, vgg-small\) learns from a teacher and "
        r"criticality at sparsity 0.8, .* does not.*--mixed_teachers true"
    )
    with pytest.raises(ConfigError, match=words):
        refuse_mixed_teachers(jobs(mixed))
    every = grid(base={"teacher": {"weight": 0.7}}, variants={"taught": TAUGHT})
    refuse_mixed_teachers(jobs(every))  # the dense net needs none
    refuse_mixed_teachers(jobs(grid(variants={"other": {"method": "criticality"}})))
    settings = {"taught": {"teacher.weight": 0.7}, "alone": {}}  # each is compared by itself
    refuse_mixed_teachers(jobs(grid(settings=settings)))


def test_finished_cells_are_not_tried(grid, counted, finish):
    made = jobs(grid(methods=["magnitude"]))
    for job in made:
        finish(job)
    refuse_impossible(made)
    assert counted == {"read": 0, "train": 0, "prune": 0}


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"sparsities": [0.5, 1.5]}, ConfigError, r"at sparsity 1.5, seed 0 \(digits, "),
        ({"base": {"every": 1000}}, ConfigError, "magnitude .*no pruning event"),
        ({"data_sets": ["digits", "nope"]}, SpikePruneError, r"\(nope, vgg-small\): .*nope"),
        ({"models": ["vgg-small", "nope"]}, ConfigError, "unknown model 'nope'"),
        (
            {"settings": {"good": {}, "bad": {"model_args": {"depth": 3}}}},
            ConfigError,
            r"magnitude at sparsity 0.8, seed 0 \(bad\): .*depth",
        ),
        (
            {"variants": {"v": {"method": "criticality", "limits": {"nowhere": [0.1, 1]}}}},
            SpikePruneError,
            "^v at sparsity 0.8, seed 0 .*nowhere",
        ),
        (
            {"variants": {"s": {"method": "slimming", "granularity": "channel",
                                "channels.floor": 100}}},
            SpikePruneError,
            "^s at sparsity 0.8, seed 0",
        ),
    ],
)  # fmt: skip
def test_an_impossible_cell_is_named_before_anything_is_written(grid, fields, kind, words):
    config = grid(methods=["magnitude"], **fields)
    with pytest.raises(kind, match=words):
        refuse_impossible(jobs(config))
    assert not config.folder.path.exists()
