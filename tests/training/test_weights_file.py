"""Weights from files: every form that people have is taken, and what does not fit is named."""

import pickle
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikeprune.errors import ModelError
from spikeprune.toolbox import load_weights


def net(width=5, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))


SOURCE = net()
STATE = SOURCE.state_dict()


def prefixed(prefix):
    return {prefix + name: value for name, value in STATE.items()}


def optimizer_state():
    """Return the state of Adam as it is saved."""
    moments = {key: torch.rand(4, 4) for key in ("exp_avg", "exp_avg_sq")}
    entry = {"step": torch.tensor(1.0), **moments}
    return {"state": {0: entry}, "param_groups": [{"lr": 0.001, "params": [0]}]}


FORMS = {
    "plain": STATE,
    "net": {"net": STATE, "acc": 91.5, "epoch": 3},
    "model": {"model": STATE},
    "state_dict": {"state_dict": STATE},
    "deeper": {"checkpoint": {"net": STATE}, "epoch": 1},
    "with the optimiser": {"model_state_dict": STATE, "optimizer_state_dict": optimizer_state()},
    "DistributedDataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "compile around DDP": prefixed("_orig_mod.module."),
    "DDP around compile, nested": {"state_dict": prefixed("module._orig_mod.")},
    "a part compiled": {n.replace("0.", "0._orig_mod."): v for n, v in STATE.items()},
    "Lightning": {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.5"},
    "parsed arguments": {"model": STATE, "args": Namespace(lr=0.1)},
    "a number of NumPy": {"net": STATE, "acc": np.float64(91.5)},
    "averaged weights": nn.Module.state_dict(torch.optim.swa_utils.AveragedModel(SOURCE)),
    "another net beside it": {"net": STATE, "teacher": net(6).state_dict()},
}


def same_weights(model):
    return all(torch.equal(value, STATE[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_weights_are_found_in_what_training_scripts_save(form, suffix, tmp_path):
    path, model = tmp_path / f"w.{suffix}", net(seed=1)
    torch.save(FORMS[form], path)
    load_weights(model, path)
    assert same_weights(model)


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])  # by content, not by name
def test_safetensors_are_loaded(prefix, name, tmp_path):
    model = net(seed=1)
    save_file(prefixed(prefix), tmp_path / name)
    load_weights(model, str(tmp_path / name))
    assert same_weights(model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_values_take_the_type_of_the_net(dtype, tmp_path):
    model = net(seed=1)
    torch.save({"net": net().to(dtype).state_dict()}, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, STATE["0.weight"].to(dtype).float())


def test_a_net_whose_own_names_start_like_a_prefix(tmp_path):
    model = nn.Sequential()
    model.add_module("module", net(seed=1))
    torch.save(prefixed("module."), tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert same_weights(model[0])


def refused(model, path):
    with pytest.raises(ModelError) as caught:
        load_weights(model, path)
    message = str(caught.value)
    assert len(message) < 500
    assert "\n" not in message
    assert str(path) in message
    return message


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (print, ("run",))


def test_pickles_are_refused_unrun(tmp_path, capsys):
    torch.save({"a": Trap()}, tmp_path / "trap.pt")
    torch.save(net(), tmp_path / "whole.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("trap.pt", "whole.pt", "plain.pt"):
        message = refused(net(), tmp_path / name)
        assert "which could run any code" in message
        assert "Expected a safetensors file" in message
    assert "a pickle of torch.nn.modules.container.Sequential," in refused(
        net(), tmp_path / "whole.pt"
    )
    assert "run" not in capsys.readouterr().out


def test_a_whole_net_is_refused_with_the_lines_that_convert_it(tmp_path):
    torch.save(SOURCE, tmp_path / "whole.pt")
    message = refused(net(), tmp_path / "whole.pt")
    lines = message.partition("convert it in Python: ")[2].replace(
        "whole.pt", f"{tmp_path}/whole.pt"
    )
    exec(lines.replace("'net.pt'", f"'{tmp_path}/net.pt'"), {"torch": torch})
    model = net(seed=1)
    load_weights(model, tmp_path / "net.pt")
    assert same_weights(model)


UNSOUND = {
    "NaN": ("0.weight", lambda t: t.fill_(torch.nan), "not finite (20 of 20)"),
    "infinite": ("1.running_mean", lambda t: t.fill_(torch.inf), "not finite (5 of 5)"),
    "integer": ("2.weight", lambda t: t.to(torch.int8), "holds integers (int8)"),
    "complex": ("2.bias", lambda t: t.to(torch.complex64), "complex numbers (complex64)"),
    "variance": ("1.running_var", lambda t: t - 3, "a variance below 0 (-2)"),
}


@pytest.mark.parametrize("kind", UNSOUND)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_unsound_weights_are_refused_and_the_net_keeps_its_own(kind, prefix, tmp_path):
    name, change, expected = UNSOUND[kind]
    state = {n: t.clone() for n, t in STATE.items()}
    state[name] = change(state[name])
    torch.save({"net": {prefix + n: t for n, t in state.items()}}, tmp_path / "w.pt")
    model = net()
    message = refused(model, tmp_path / "w.pt")
    assert repr(name) in message
    assert expected in message
    assert same_weights(model)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("hello there")
    (tmp_path / "text.pt").write_text("hello there")
    torch.save(STATE, tmp_path / "cut.pt")
    content = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    for name in ("text.safetensors", "text.pt", "cut.pt"):
        assert "cannot be read, they are cut short, damaged or" in refused(net(), tmp_path / name)
    for name in ("empty.pt", "empty.safetensors"):
        (tmp_path / name).touch()
        assert "are an empty file. Expected" in refused(net(), tmp_path / name)
    assert "does not exist" in refused(net(), tmp_path / "absent.pt")
    assert "is a folder, no file" in refused(net(), tmp_path)


def test_files_without_one_state_dict_are_refused(tmp_path):
    for content in ([1, 2], {}, torch.zeros(2), {"epoch": 3}, {0: STATE}):
        torch.save(content, tmp_path / "w.pt")
        assert "hold no state_dict" in refused(net(), tmp_path / "w.pt")
    torch.save({"net": STATE, "ema": {"shadow": STATE}}, tmp_path / "w.pt")
    message = refused(net(), tmp_path / "w.pt")
    assert "hold several nets (['net'], ['ema']['shadow'])" in message
    assert "torch.save(torch.load('w.pt')['net'], 'net.pt')" in message


def test_weights_of_another_net_are_refused_in_a_line(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(net(6).state_dict(), path)
    message = refused(net(5), path)
    assert "do not fit Sequential" in message
    assert "7 of 9 tensors of another shape (0.weight: found (6, 4), expected (5, 4), " in message
    assert message.count("found") == 3
    big = nn.Sequential(*(nn.Linear(2, 2) for _ in range(200)))
    save_file({"module.0.weight": torch.zeros(2, 2), "module.other": torch.zeros(1)}, path)
    message = refused(big, path)
    assert "399 of 400 tensors missing (0.bias, 1.weight, 1.bias, ...)" in message
    assert "1 of 400 tensors unknown (other)" in message
