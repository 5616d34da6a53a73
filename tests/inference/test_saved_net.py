import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import spikeprune
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.files import read_json
from spikeprune.inference.event_driven import event_report, numba_installed
from spikeprune.inference.saved_net import MODEL, PLAN, load, load_masks
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import NAME, file_checksum, write_manifest


@pytest.fixture(scope="module", params=["weight", "channel"])
def finished(request, tmp_path_factory):
    """A finished run: its configuration and folder."""
    config = RunConfig.from_dict(
        {
            "data": "digits",
            "limit": 100,
            "batch_size": 20,
            "sparsity": 0.7,
            "every": 2,
            "method": "criticality",  # after so short a training it leaves something to cut
            "granularity": request.param,
            "model": "vgg-small",
            "model_args": {"widths": [4, 8], "strides": [2, 1]},
            "time_steps": 3,
            "epochs": {"prune": 1, "finetune": 1},
            "optimizer": {"name": "adamw", "lr": 0.02},
            "threads": 1,
            "out": str(tmp_path_factory.mktemp("runs") / "x"),
        }
    )
    run(config)
    return config, RunFolder(config.folder)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run's folder, to be harmed."""
    shutil.copytree(finished[1].path, tmp_path / "copy")
    return RunFolder(tmp_path / "copy")


def test_two_files_are_enough_and_what_comes_back_is_ready(finished, tmp_path):
    config, folder = finished
    for path in (folder.plan, folder.model):
        shutil.copy(path, tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    net = load(str(tmp_path))
    assert torch.equal(torch.rand(2), expected)  # drawn from nothing of the user's
    assert not any(module.training for module in net.modules())
    x = Session(config).test_inputs
    with torch.no_grad():
        first = net(x)
        assert torch.equal(first, net(x))
        assert torch.equal(first[:1], net(x[:1]))
    assert first.shape == (20, 10)
    assert net.time_steps == 3
    assert net.layout == "sequence"
    assert net.classes == tuple("0123456789")
    info = Session(config).data.info
    assert (net.mean, net.std) == (info.mean, info.std)


def test_the_full_net_with_the_masks_is_the_dense_net_in_shape(finished):
    config, folder = finished
    masks, full = load_masks(folder.path), Session(config).built()
    shapes = {name: p.shape for name, p in full.named_parameters()}
    assert {name: mask.shape for name, mask in masks.items()} == {n: shapes[n] for n in masks}
    weights = {f"{name}.weight" for name in Session(config).weight_counts}
    metrics = read_json(folder.metrics)
    if config.granularity == "weight":
        assert masks.keys() == weights
        assert masks.live == metrics["regrowth"]["events"][-1]["live"]
    else:
        live = {
            n.removesuffix(".weight"): int(m.any(1).sum())
            for n, m in masks.items()
            if n in ("stem.conv.weight", "body.conv2.weight")
            for m in [m.flatten(1)]
        }
        assert live == metrics["cut"]["channels_after"]


def test_the_plan_says_how_the_net_is_built_and_called(finished):
    config, folder = finished
    plan = read_json(folder.plan)
    assert plan.keys() == {
        "schema", "model", "time_steps", "layout", "classes", "input", "cut", "weights",
    }  # fmt: skip
    assert plan["weights"]["bytes"] == folder.model.stat().st_size
    assert plan["model"] == Session(config).description
    assert plan["input"].keys() == {"shape", "mean", "std"}


def test_a_newer_or_foreign_plan_is_refused(copy):
    plan = read_json(copy.plan)
    (copy.path / NAME).unlink()
    for value in ({**plan, "schema": 2}, {}):
        copy.plan.write_text(json.dumps(value))
        with pytest.raises(RunError, match=r"plan\.json has schema .*pip install"):
            spikeprune.load(copy.path)
    for value in ([plan], {**plan, "time_steps": 0}, {**plan, "classes": 3}, {**plan, "cut": {}}):
        copy.plan.write_text(json.dumps(value))
        with pytest.raises(RunError, match=r"plan\.json is damaged or of another kind: "):
            spikeprune.load(copy.path)
    copy.plan.write_text(json.dumps({**plan, "time_steps": 10**12}))
    with pytest.raises(RunError, match=r"time_steps of .*plan.json: expected at most 10,000"):
        spikeprune.load(copy.path)
    plan["model"]["arguments"]["classes"] = 10**12
    copy.plan.write_text(json.dumps(plan))
    with pytest.raises(ConfigError, match="GiB of memory, and this machine has"):
        spikeprune.load(copy.path)
    copy.plan.unlink()
    with pytest.raises(RunError, match=r"plan\.json, which does not exist"):
        spikeprune.load(copy.path)


@pytest.mark.skipif(not numba_installed(), reason="numba is not installed")
def test_a_loaded_net_can_be_made_event_driven(copy):
    net = spikeprune.load(copy.path)
    x = torch.rand(3, 1, 8, 8)
    faster = net.event_driven(x, choice="lanes")
    with torch.no_grad():
        torch.testing.assert_close(faster(x), net(x), rtol=0, atol=1e-5)
    assert {row.choice for row in event_report(faster).values()} == {"lanes"}
    assert not event_report(net)
    for name in ("time_steps", "layout", "classes", "mean", "std"):
        assert getattr(faster, name) == getattr(net, name)
    assert faster.net is not net.net
    assert not faster.training


@pytest.mark.parametrize("alone", [False, True])
def test_a_flipped_bit_of_the_net_is_noticed_also_without_the_manifest(copy, alone):
    content = bytearray(copy.model.read_bytes())
    content[-1] ^= 1
    copy.model.write_bytes(content)
    if alone:  # the two files that may be passed on
        (copy.path / NAME).unlink()
    with pytest.raises(RunError, match=r"model\.safetensors differs from its checksum"):
        spikeprune.load(copy.path)


def test_tensors_that_do_not_fit_the_plan_are_refused(copy):
    (copy.path / NAME).unlink()
    plan = read_json(copy.plan)
    del plan["weights"]  # as version 0.1 wrote it
    copy.plan.write_text(json.dumps(plan))
    shutil.copy(copy.dense.model, copy.model)
    with pytest.raises(ModelError, match=r"do not fit .* of another shape"):
        spikeprune.load(copy.path)
    copy.model.unlink()
    with pytest.raises(ModelError, match="does not exist"):
        spikeprune.load(copy.path)


def test_masks_that_are_missing_or_damaged_are_refused(copy):
    whole = copy.masks.read_bytes()
    copy.masks.write_bytes(whole[:-5])
    with pytest.raises(RunError, match=r"masks\.safetensors has \d+ bytes, not \d+"):
        load_masks(copy.path)
    (copy.path / NAME).unlink()
    with pytest.raises(RunError, match=r"cannot read .*masks\.safetensors"):
        load_masks(copy.path)
    shutil.copy(copy.model, copy.masks)  # tensors, but no masks
    with pytest.raises(RunError, match="packed masks"):
        load_masks(copy.path)
    copy.masks.unlink()
    with pytest.raises(RunError, match=r"cannot read .*masks"):
        load_masks(copy.path)


def test_weights_that_are_not_finite_are_refused(copy):
    tensors = load_file(copy.model)
    tensors["head.classifier.bias"][0] = torch.inf
    save_file(tensors, copy.model)
    write_manifest(copy.path, [MODEL, PLAN], {})
    plan = read_json(copy.plan)
    copy.plan.write_text(json.dumps(plan | {"weights": file_checksum(copy.model)}))
    write_manifest(copy.path, [MODEL, PLAN], {})
    with pytest.raises(ModelError, match=r"model\.safetensors .*classifier\.bias' .* not finite"):
        load(copy.path)
