"""Checkpoints: what is written comes back, and nothing that is damaged or foreign is taken."""

import math
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from spikeprune.errors import RunError
from spikeprune.training.checkpoint import load_tensors, load_tree, save_tensors, save_tree

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bool, torch.uint8, torch.int64)
PLAIN = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
PLAIN |= st.floats(allow_nan=False)
TENSORS = st.builds(
    lambda dtype, shape: torch.arange(math.prod(shape)).reshape(shape).to(dtype),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=4),
)
NAMES = st.text("abc._", min_size=1, max_size=4)
TREES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.dictionaries(st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, two):
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two


@settings(max_examples=40, deadline=None)
@given(tree=st.dictionaries(NAMES, TREES, max_size=4))
def test_a_tree_comes_back_as_it_was(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "state.safetensors"
    save_tree(path, tree)
    assert same(load_tree(path), tree)
    assert os.listdir(path.parent) == ["state.safetensors"]


def test_tuples_come_back_as_lists_and_shared_tensors_apart(tmp_path):
    shared = torch.arange(6.0)
    save_tree(tmp_path / "a", {"betas": (0.9, 0.99), "x": shared, "y": shared[2:4]})
    loaded = load_tree(tmp_path / "a")
    assert loaded["betas"] == [0.9, 0.99]
    loaded["x"].zero_()
    assert loaded["y"].tolist() == [2.0, 3.0]


def test_the_memory_format_comes_back(tmp_path):
    # In another one than its parameter's an optimiser's state makes every step slower.
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    save_tree(tmp_path / "a", {"last": x, "first": x.contiguous(), "flat": torch.zeros(2, 3)})
    loaded = load_tree(tmp_path / "a")
    assert loaded["last"].stride() == x.stride()
    assert loaded["first"].is_contiguous()
    assert torch.equal(loaded["last"], x)


def test_the_state_of_an_optimizer_goes_through_a_file(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_tree(tmp_path / "a", optimizer.state_dict())
    again = torch.optim.AdamW(model.parameters(), lr=0.5)
    again.load_state_dict(load_tree(tmp_path / "a"))
    assert again.param_groups[0]["lr"] == 0.1
    assert same(
        {str(k): v for k, v in optimizer.state_dict()["state"].items()},
        {str(k): v for k, v in again.state_dict()["state"].items()},
    )
    optimizer.step()
    again.step()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.zeros(1)})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunError, match=r"cannot write .*state.safetensors"):
        save_tensors(path, {"a": torch.ones(1)})
    monkeypatch.undo()
    save_tree(tmp_path / "deep" / "er" / "b", {"x": 1})
    assert not load_tensors(path)["a"].any()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(share, tmp_path):
    path = tmp_path / "state.safetensors"
    save_tree(path, {"weights": torch.randn(50), "epoch": 3})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"not a whole checkpoint.*delete it to start its stage"):
        load_tree(path)


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "text").write_text("hello")
    for name in ("plain.safetensors", "text"):
        with pytest.raises(RunError, match="not a whole checkpoint"):
            load_tree(tmp_path / name)
    with pytest.raises(RunError, match=r"cannot read .*absent.* put it there"):
        load_tree(tmp_path / "absent")


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "state.safetensors"
    tree = {"weights": torch.randn(50), "empty": torch.zeros(0), "flag": torch.tensor(True)}
    save_tree(path, {**tree, "epoch": 3})
    whole = bytearray(path.read_bytes())
    for position in (-1, -100, -200):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"differs from its checksum.*delete it to start its"):
            load_tree(path)
    path.write_bytes(whole)
    assert load_tree(path)["epoch"] == 3
