import dataclasses

import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.reproduce.required_runs import (
    RequiredRun,
    jobs_of,
    refuse_changed,
    required_run,
)
from spikeprune.lab.reproduce.scales import SCALES

SCALE = SCALES["smoke"]
SETTING = SCALE.weights[0]


def made(wants, tmp_path, seeds=(0,), common=None, curved=()):
    return jobs_of(wants, seeds, cells=tmp_path, common=common or {}, curved=curved)


def test_options_are_told_in_the_label_and_put_in(tmp_path):
    one = required_run(SCALE, SETTING, "criticality", 0.9, criticality__curve="tanh")
    assert one.label == "criticality, curve tanh"
    (job,) = made([one], tmp_path, common={"threads": 1}, curved=[one.key])
    config = job.config
    assert (config.criticality.curve, config.sparsity, config.method) == (
        "tanh",
        0.9,
        "criticality",
    )
    assert (config.curves, config.threads, config.epochs.total) == (True, 1, 6)
    (rounds,) = made([required_run(SCALE, SETTING, "imp", 0.9)], tmp_path)
    assert rounds.config.imp.share == SCALE.imp["imp.share"]


def test_a_run_that_several_need_is_there_once_for_every_seed(tmp_path):
    wants = [required_run(SCALE, SETTING, "magnitude", s) for s in (0.9, 0.9, 0.95)]
    runs = made(wants, tmp_path, seeds=(3, 4))
    found = [(job.sparsity, job.seed) for job in runs]
    assert found == [(0.9, 3), (0.9, 4), (0.95, 3), (0.95, 4)]
    other = RequiredRun(SETTING, "magnitude", 0.9, {"method": "criticality"})
    with pytest.raises(ConfigError, match="two runs"):
        made([*wants, other], tmp_path)


def test_a_finished_run_of_other_options_is_refused(tmp_path, finish):
    (job,) = made([required_run(SCALE, SETTING, "magnitude", 0.9)], tmp_path)
    finish(job)
    refuse_changed([job])
    elsewhere = dataclasses.replace(job.config, threads=7, data_root="/elsewhere")
    refuse_changed([dataclasses.replace(job, config=elsewhere)])
    changed = dataclasses.replace(job.config, time_steps=9)
    with pytest.raises(RunError, match="time_steps: 4 there, 9 now"):
        refuse_changed([dataclasses.replace(job, config=changed)])
