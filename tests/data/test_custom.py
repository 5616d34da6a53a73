"""Loaders of the user's own."""

import sys

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeprune import data
from spikeprune.errors import ConfigError, DataError

OPTIONS = {"batch_size": 4, "time_steps": 3, "seed": 7}


def batches(count=10, shape=(1, 5, 5), classes=3):
    x = torch.rand(count, *shape)
    return DataLoader(TensorDataset(x, torch.arange(count) % classes), batch_size=4)


def good(**changes):
    made = {"train": batches(), "test": batches(6), "shape": (1, 5, 5), "classes": 3}
    return {**made, **changes}


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Load through a module whose function returns what the test wants."""

    def through(made, **options):
        import types

        module = types.ModuleType("mine")
        module.loaders = made if callable(made) else (lambda: made)
        monkeypatch.setitem(sys.modules, "mine", module)
        return data.load("mine:loaders", **{**OPTIONS, **options})

    return through


def test_a_mapping_is_enough(load):
    got = load(good(validation=batches(5), label="Mine", mean=[0.5], std=[0.1]))
    assert got.info.classes == ("0", "1", "2")
    assert (got.info.kind, got.info.label, got.info.source) == ("static", "Mine", "mine:loaders")
    assert (got.info.mean, got.info.std) == ((0.5,), (0.1,))
    assert (got.train.samples, got.validation.samples, got.test.samples) == (10, 5, 6)
    assert (len(got.train), len(got.test)) == (3, 2)
    x, y = next(iter(got.train))
    assert x.shape == (4, 1, 5, 5)
    assert y.tolist() == [0, 1, 2, 0]
    assert got.score is got.train


def test_a_tuple_is_enough(load):
    clean = batches(8)
    got = load((batches(), None, batches(), [1, 5, 5], ["a", "b", "c"]))
    assert got.info.classes == ("a", "b", "c")
    assert (len(got.validation), got.validation.samples, list(got.validation)) == (0, 0, [])
    assert load(good(score=clean)).score.samples == 8


def test_a_data_object_is_taken_as_it_is(load):
    whole = data.load("digits", **OPTIONS)
    assert load(whole) is whole


def test_recordings_are_recognised_by_their_form(load):
    x, y = torch.rand(3, 4, 2, 6, 6), torch.zeros(4).long()
    got = load(good(train=[(x, y)], test=[(x, y)] * 2, shape=(2, 6, 6)))
    assert got.info.kind == "events"
    assert (got.test.samples, len(got.test)) == (8, 2)


def test_the_function_gets_the_arguments_that_it_names(load):
    seen = {}

    def some(batch_size, *, seed, time_steps=0, extra=5):
        seen.update(batch_size=batch_size, seed=seed, time_steps=time_steps)
        return good()

    def everything(**options):
        seen.update(options)
        return good()

    load(some)
    assert seen == {"batch_size": 4, "seed": 7, "time_steps": 3}
    load(everything, limit=9, root="there")
    assert (seen["limit"], seen["root"]) == (9, "there")
    with pytest.raises(ConfigError, match="wants colour"):
        load(lambda colour: good())


def test_modules_beside_the_user_are_found(monkeypatch, tmp_path):
    source = (
        "import torch\ndef make():\n    b = [(torch.rand(2, 1, 3, 3), torch.zeros(2).long())]\n"
    )
    (tmp_path / "beside_me.py").write_text(
        source + "    return {'train': b, 'test': b, 'shape': (1, 3, 3), 'classes': 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = list(sys.path)
    assert data.load("beside_me:make", **OPTIONS).info.shape == (1, 3, 3)
    assert sys.path == before


def test_what_is_not_there_is_named():
    for name in ("nowhere_at_all:make", "json:make"):
        with pytest.raises(ConfigError, match=f"data '{name}' cannot be imported"):
            data.load(name, **OPTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": None}, "lacking: train"),
        ({"tset": 1}, "unknown: tset"),
        ({"shape": (5, 5)}, r"shape \(C, H, W\)"),
        ({"shape": 5}, r"shape \(C, H, W\)"),
        ({"classes": "abc"}, "class names or their number"),
        ({"classes": []}, "class names or their number"),
        ({"kind": "sound"}, "'static' or 'events', got 'sound'"),
        ({"train": iter([])}, "iterated again and again.*got list_iterator"),
        ({"train": 5}, "iterated again and again.*got int"),
        ({"train": []}, "at least one batch"),
        ({"test": []}, "test of mine:loaders: expected at least one batch"),
        ({"train": [torch.rand(4, 1, 5, 5)]}, r"\(input, labels\), got a Tensor"),
        ({"classes": 2}, "from 0 to 1 for each sample"),
        ({"shape": (3, 5, 5)}, r"\[B, 3, 5, 5\] or \[3, B, 3, 5, 5\].*got float32 \[4, 1, 5, 5\]"),
        ({"kind": "events"}, r"floating point \[3, B, 1, 5, 5\]"),
    ],
)
def test_what_cannot_be_used_is_refused(load, changes, message):
    with pytest.raises(DataError, match=message):
        load(good(**changes))


@pytest.mark.parametrize("made", [None, 5, (1, 2), [1, 2, 3, 4, 5]])
def test_other_things_are_refused(load, made):
    with pytest.raises(DataError, match=r"expected a Data, a mapping, or the tuple \(train"):
        load(made)


def test_the_parameters_that_a_function_takes(load):
    load(lambda batch_size, limit=None: good())
    assert data.taken("mine:loaders") == {"batch_size", "limit"}
    load(lambda: good())
    assert data.taken("mine:loaders") == set()
    load(lambda seed, **others: good())
    assert data.taken("mine:loaders") is None
