"""Fingerprints of data: equal for unchanged data, and a change is counted in words."""

import json
from dataclasses import replace
from itertools import pairwise

import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeprune import data as datasets
from spikeprune.data import fingerprint as module
from spikeprune.data.custom import load as load_own
from spikeprune.data.fingerprint import Fingerprint, agreeing, changed_parts, fingerprint
from spikeprune.data.loader import Loader
from spikeprune.data.types import Data, DataInfo, Part

INFO = DataInfo("mine", "mine", ("a", "b"), (1, 2, 2), (0.0,), (1.0,), "static", "here")


def made(count=40, *, shuffle=0, change=(), labels=(), info=INFO):
    """Data in memory: 30 training, 6 validation and 4 test samples of `count` = 40."""
    images = torch.arange(count * 4, dtype=torch.uint8).view(count, 1, 2, 2).clone()
    for number in change:
        images[number] += 1
    y = torch.arange(count) % 2
    for number in labels:
        y[number] = 1 - y[number]
    part = Part(images, y)
    ends = (0, count * 3 // 4, count * 9 // 10, count)
    train, held, test = (torch.arange(a, b) for a, b in pairwise(ends))
    loader = lambda index, **kind: Loader(part, index, info, batch_size=4, **kind)  # noqa: E731
    return Data(
        info,
        loader(train, shuffle=shuffle, augment=["flip"]),
        loader(train),
        loader(held),
        loader(test),
    )


def changed(one, other):
    return changed_parts(fingerprint(one), fingerprint(other))


def test_unchanged_data_are_equal_whatever_the_shuffling():
    assert changed(made(), made(shuffle=5)) == []
    assert fingerprint(made()).left_out == ()


def test_changes_are_counted_by_part():
    assert changed(made(), made(change=[1, 5, 7, 39])) == [
        "the training inputs changed: 3 of 30 samples",
        "the test inputs changed: 1 of 4 samples",
    ]
    assert changed(made(), made(labels=[33])) == ["the validation labels changed: 1 of 6 samples"]
    assert "the test inputs changed: 4 samples there, 8 now" in changed(made(), made(80))


def test_many_samples_are_counted_in_blocks():
    found = changed(made(4000), made(4000, change=[0, 1, 2, 2999]))
    assert found == ["the training inputs changed: in 2 of 1,000 blocks of samples"]


def test_a_large_part_is_sampled_and_says_so(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 4 * 3)  # three samples of four bytes
    part = fingerprint(made()).parts["training inputs"]
    assert (part.compared, part.of) == (3, 30)
    assert fingerprint(made()).parts["training labels"].compared == 30
    assert changed(made(), made(change=[1])) == []  # not among 0, 14, 29
    assert changed(made(), made(change=[14])) == [
        "the training inputs changed: 1 of 3 samples (of 30, 3 are compared)"
    ]


def test_other_classes_and_shapes_are_changes():
    other = DataInfo("mine", "mine", ("a", "c"), (1, 2, 2), (0.0,), (1.0,), "static", "here")
    assert changed(made(), made(info=other)) == ["the classes changed: a, b there, a, c now"]


def test_plain_values_and_back():
    found = fingerprint(made())
    assert Fingerprint.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_one_of_two_left_out_is_not_compared():
    whole = fingerprint(made())
    less = agreeing(whole, fingerprint(made(change=[0])))
    assert "training inputs" not in less.parts
    assert less.left_out == (
        "the training inputs, because two calls of the user's function differ",
    )
    assert changed_parts(whole, less) == changed_parts(less, whole) == []


def test_a_named_set_is_whole():
    options = {"batch_size": 10, "time_steps": 2, "seed": 0}
    one, other = (fingerprint(datasets.load("digits", **options)) for _ in range(2))
    assert one == other
    assert one.parts["test inputs"].compared == one.parts["test inputs"].of


def test_training_with_a_user_s_loader_draws_what_it_drew_before(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 1, 8, 8)
    parts = TensorDataset(x, torch.zeros(20).long())

    def loaders():
        shuffled = DataLoader(parts, batch_size=5, shuffle=True, generator=generator)
        return shuffled, None, shuffled, (1, 8, 8), 2

    monkeypatch.setattr("spikeprune.data.custom.user_callable", lambda name, kind: loaders)
    options = datasets.options.Options(5, 1, 0, 0.1, (), None, None, "duration")
    data = load_own("mine:loaders", None, options)
    torch.manual_seed(1)
    state = generator.get_state()
    expected = [x for x, _ in data.train], torch.rand(3)
    generator.set_state(state)
    torch.manual_seed(1)
    fingerprint(data)
    again = [x for x, _ in data.train], torch.rand(3)
    assert all(map(torch.equal, expected[0], again[0]))
    assert torch.equal(expected[1], again[1])


def test_user_loaders_name_what_changed(monkeypatch):
    def data(value):
        x = torch.zeros(20, 1, 8, 8)
        x[7] = value
        loader = DataLoader(TensorDataset(x, torch.zeros(20).long()), batch_size=5)
        monkeypatch.setattr(
            "spikeprune.data.custom.user_callable",
            lambda name, kind: lambda: (loader, loader, loader, (1, 8, 8), 2),
        )
        options = datasets.options.Options(5, 1, 0, 0.1, (), None, None, "duration")
        return load_own("mine:loaders", None, options)

    assert changed(data(0), data(0)) == []
    assert changed(data(0), data(1)) == [
        "the training inputs changed: 1 of 20 samples",
        "the validation batches changed: 1 of 4 batches",
        "the validation inputs changed: 1 of 20 samples",
        "the test batches changed: 1 of 4 batches",
        "the test inputs changed: 1 of 20 samples",
    ]


def test_a_loader_for_scoring_of_the_user_s_own_counts():
    def data(value):
        x = torch.full((8, 1, 2, 2), value)
        score = DataLoader(TensorDataset(x, torch.zeros(8).long()), batch_size=4)
        return replace(made(), score=score)

    assert changed(data(0.0), data(0.0)) == []
    assert changed(data(0.0), data(1.0)) == [
        "the scoring batches changed: 2 of 2 batches",
        "the scoring inputs changed: 8 of 8 samples",
    ]
