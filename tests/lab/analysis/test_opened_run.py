import shutil

import pytest
import torch

from spikeprune.errors import RunError
from spikeprune.files import read_json
from spikeprune.lab.analysis.opened_run import OpenedRun


def test_nets_have_the_shapes_of_the_full_and_of_the_cut_net(finished):
    run = OpenedRun.at(finished["channel"])
    cut = read_json(finished["channel"] / "metrics.json")["cut"]
    for name, before in cut["channels_before"].items():
        if name in cut["channels_after"]:
            assert len(run.full.get_submodule(name).weight) == before
            assert len(run.net.get_submodule(name).weight) == cut["channels_after"][name]


def test_building_the_full_net_leaves_the_random_numbers_alone(finished):
    run = OpenedRun.at(finished["weight"])
    before = torch.get_rng_state()
    assert run.full is run.full
    assert torch.equal(torch.get_rng_state(), before)


def test_positions_that_were_not_cut(finished):
    run = OpenedRun.at(finished["channel"])
    run.plan["cut"]["modules"] = {"conv": {"out": [0, 2]}}
    assert run.kept("conv", "out", 3).tolist() == [True, False, True]
    assert run.kept("conv", "in", 2).tolist() == [True, True]
    assert run.kept("other", "out", 2).tolist() == [True, True]


def test_live_channels_are_those_of_the_cut_net(finished):
    run = OpenedRun.at(finished["channel"])
    after = read_json(finished["channel"] / "metrics.json")["cut"]["channels_after"]
    assert len(run.live_channels) == len(run.groups)
    for group in run.groups:
        assert int(run.live_channels[group.name].sum()) == after[group.of("out")[0].module]


def test_masks_count_what_lives(finished):
    run = OpenedRun.at(finished["weight"])
    assert run.masks.live == run.record.events[-1]["live"]
    assert run.prunes
    assert not OpenedRun.at(finished["dense"]).prunes


def test_no_run_and_an_unfinished_run_are_refused(finished, tmp_path):
    with pytest.raises(RunError, match=r"config\.yaml"):
        OpenedRun.at(tmp_path)
    shutil.copytree(finished["weight"], tmp_path / "half")
    (tmp_path / "half" / "metrics.json").unlink()
    with pytest.raises(RunError, match="finished run"):
        OpenedRun.at(tmp_path / "half")
