"""The files of a finished net, against what is loaded from them."""

import json

import torch
from safetensors import safe_open

from spikeprune.files import read_json
from spikeprune.inference.saved_net import load, load_masks
from spikeprune.lab.run.results.save_net import save_net
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import file_checksum
from spikeprune.science.masks import Mask
from spikeprune.wiring.cut_plan import plan_for


def saved(folder):
    session = Session(
        RunConfig.from_dict(
            {
                "data": "digits",
                "limit": 20,
                "batch_size": 10,
                "model": "vgg-small",
                "model_args": {"widths": [4], "strides": [2]},
                "time_steps": 2,
            }
        )
    )
    model = session.built()
    weight = model.stem.conv.weight.detach()
    mask = Mask({"stem.conv.weight": torch.arange(weight.numel()).view(weight.shape) % 3 == 0})
    save_net(RunFolder(folder), model, session, plan=plan_for((), {}), mask=mask)
    return session, model, mask


def test_net_and_masks_come_back(tmp_path):
    session, model, mask = saved(tmp_path)
    loaded = load(tmp_path)
    x = session.test_inputs
    with torch.no_grad():
        expected = session.forward(model.eval())(x).mean(0)
        torch.testing.assert_close(loaded(x), expected, rtol=0, atol=1e-6)
    masks = load_masks(tmp_path)
    assert masks == mask
    assert masks.live == 12  # every third of 36


def test_the_plan_is_json_and_the_masks_are_packed(tmp_path):
    session, _, _ = saved(tmp_path)
    info = session.data.info
    assert read_json(tmp_path / "plan.json") == {
        "schema": 1,
        "model": session.description,
        "time_steps": 2,
        "layout": "sequence",
        "classes": list("0123456789"),
        "input": {"shape": [1, 8, 8], "mean": list(info.mean), "std": list(info.std)},
        "cut": {"version": 1, "modules": {}},
        "weights": file_checksum(tmp_path / "model.safetensors"),
    }
    with safe_open(tmp_path / "masks.safetensors", framework="pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
        assert shapes == {"stem.conv.weight": [4, 1, 3, 3]}
        assert file.get_tensor("stem.conv.weight").numel() == 5  # 36 bits in bytes


def test_the_same_net_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        saved(tmp_path / name)
    for file in ("model.safetensors", "plan.json", "masks.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
