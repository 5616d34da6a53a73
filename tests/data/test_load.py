"""Data sets by name, from files in their true form to batches."""

import numpy as np
import pytest
import torch
from PIL import Image

from spikeprune import data, limits
from spikeprune.errors import ConfigError, DataError

OPTIONS = {"batch_size": 4, "time_steps": 3, "seed": 0}


def whole(loader):
    pairs = list(loader)
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def test_digits_need_no_files(no_network):
    got = data.load("digits", **{**OPTIONS, "batch_size": 64})
    assert got.info.shape == (1, 8, 8)
    assert got.info.source == "scikit-learn"
    assert got.train.samples + got.validation.samples == 1437
    assert got.test.samples == 360
    x, y = whole(got.score)
    assert x.shape == (1293, 1, 8, 8)
    assert abs(float(x.mean())) < 0.02
    assert abs(float(x.std()) - 1) < 0.02
    counts = torch.bincount(whole(got.test)[1])
    assert int(counts.max() - counts.min()) <= 2
    assert torch.bincount(y, minlength=10).min() > 100


def test_parts_do_not_overlap_and_do_not_follow_the_seed():
    first, second = (data.load("digits", **{**OPTIONS, "seed": seed}) for seed in (0, 1))
    for name in ("score", "validation", "test"):
        one, two = (whole(getattr(d, name)) for d in (first, second))
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
    train, held = (set(p._index.tolist()) for p in (first.score, first.validation))
    assert not train & held
    assert torch.equal(first.train._index, first.score._index)
    assert not torch.equal(next(iter(first.train))[1], next(iter(second.train))[1])


def test_digits_can_be_made_large_enough_for_deep_nets():
    got = data.load("digits", **OPTIONS, image_size=32, augment=["crop", "flip", "cutout"])
    assert got.info.shape == (1, 32, 32)
    assert next(iter(got.train))[0].shape == (4, 1, 32, 32)
    assert got.info.scaling == "(pixel / 255 - mean) / std, per channel"


def test_only_training_is_augmented():
    plain = data.load("digits", **OPTIONS)
    changed = data.load("digits", **OPTIONS, augment=("crop", "flip", "cutout"))
    for name in ("score", "validation", "test"):
        assert torch.equal(whole(getattr(plain, name))[0], whole(getattr(changed, name))[0])
    assert not torch.equal(next(iter(plain.train))[0], next(iter(changed.train))[0])


def test_fashion_mnist_from_idx_files(idx_folder, no_network):
    got = data.load("fashion-mnist", root=idx_folder().parent, **OPTIONS)
    assert got.info.label == "Fashion-MNIST"
    assert got.info.classes[9] == "Ankle boot"
    assert (got.train.samples, got.validation.samples, got.test.samples) == (54, 6, 20)
    x, y = whole(got.test)
    assert torch.allclose(x[:, 0, 0, 0], (y / 255 - 0.2860) / 0.3530, atol=1e-5)


def test_limit_keeps_a_stratified_few(idx_folder):
    got = data.load("mnist", root=idx_folder("mnist", train=200), **OPTIONS, limit=90)
    assert (got.train.samples, got.validation.samples, got.test.samples) == (90, 10, 20)
    assert torch.equal(torch.bincount(whole(got.score)[1]), torch.full((10,), 9))


@pytest.mark.parametrize(("form", "label"), [("PNG", "CIFAR-10"), ("JPEG", "CIFAR-10 (JPEG)")])
def test_cifar10_is_named_by_its_pixels(cifar10_folder, cache_folder, form, label):
    folder = cifar10_folder(form)
    first = data.load("cifar10", root=folder, **OPTIONS)
    assert len(list(cache_folder.iterdir())) == 2
    again = data.load("cifar10", root=folder, **OPTIONS)
    assert first.info.label == again.info.label == label
    assert first.info.shape == (3, 32, 32)
    assert first.train.samples == 36
    for name in ("score", "test"):
        one, two = (whole(getattr(d, name)) for d in (first, again))
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


def test_png_pixels_arrive_normalised_and_in_order(cifar10_folder):
    x, y = whole(data.load("cifar10", root=cifar10_folder(), **OPTIONS).test)
    assert y.tolist() == [number % 10 for number in range(20)]
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
    assert torch.allclose(x[:, :, 0, 0], (y[:, None] / 255 - mean) / std, atol=1e-5)


def test_tiny_imagenet_is_tested_on_its_valid_split(tmp_path, encoded, parquet_file):
    grey = encoded(np.full((64, 64), 7, dtype=np.uint8), "JPEG")
    for split, count in (("train", 8), ("valid", 3)):
        file = tmp_path / "data" / f"{split}-00000-of-00001-abc.parquet"
        parquet_file(file, [grey] * count, [199] * count, columns=("image", "label"))
    got = data.load("tiny-imagenet", root=tmp_path, **OPTIONS, validation=0.0)
    assert (got.train.samples, got.validation.samples, got.test.samples) == (8, 0, 3)
    assert got.info.label == "Tiny-ImageNet"
    assert next(iter(got.test))[0].shape == (3, 3, 64, 64)


def test_a_folder_of_images(image_tree):
    folder = image_tree()
    got = data.load(str(folder), **{**OPTIONS, "batch_size": 2})
    assert got.info.classes == ("cat", "dog")
    assert got.info.shape == (3, 10, 12)
    assert (got.train.samples, got.validation.samples, got.test.samples) == (9, 1, 4)
    assert whole(got.test)[1].tolist() == [0, 0, 1, 1]
    pixels = np.asarray(Image.open(folder / "test" / "dog" / "1.png"))
    mean, std = torch.tensor(got.info.mean), torch.tensor(got.info.std)
    expected = (torch.from_numpy(pixels.copy()) / 255 - mean) / std
    assert torch.allclose(whole(got.test)[0][3], expected.permute(2, 0, 1), atol=1e-5)
    same = data.load("folder", root=folder, **{**OPTIONS, "batch_size": 2})
    assert same.info.mean == got.info.mean


def test_nmnist_comes_as_frames(nmnist_folder):
    got = data.load("nmnist", root=nmnist_folder().parent, **OPTIONS)
    assert got.info.kind == "events"
    assert (got.train.samples, got.validation.samples, got.test.samples) == (27, 3, 20)
    x, y = next(iter(got.test))
    assert x.shape == (3, 4, 2, 34, 34)
    counts = x * got.info.std[0]
    assert torch.allclose(counts.sum((0, 2, 3, 4)), torch.full((4,), 40.0), atol=1e-3)
    assert set(counts.nonzero()[:, 4].tolist()) == set(y.tolist())
    assert f"{got.info.std[0]:.4g}" in got.info.scaling


def test_frames_follow_time_steps_binning_and_size(nmnist_folder, cache_folder):
    root = nmnist_folder()
    first = data.load("nmnist", root=root, **OPTIONS)
    again = data.load("nmnist", root=root, **OPTIONS)
    assert torch.equal(whole(first.test)[0], whole(again.test)[0])
    assert len(list(cache_folder.iterdir())) == 2
    for changes in ({"time_steps": 5}, {"binning": "count"}, {"image_size": 17}):
        other = data.load("nmnist", root=root, **{**OPTIONS, **changes})
        assert not torch.equal(next(iter(other.test))[0], next(iter(first.test))[0])
    assert other.info.shape == (2, 17, 17)
    assert other.info.shape[1:] == next(iter(other.test))[0].shape[3:]


def test_augmented_recordings_move_as_a_whole(nmnist_folder):
    got = data.load("nmnist", root=nmnist_folder(), **OPTIONS, augment=("flip",))
    for x, _ in got.train:
        for recording in x.unbind(1):
            assert len(recording.nonzero()[:, 3].unique()) == 1


def test_options_are_checked_before_anything_is_read(no_network):
    with pytest.raises(ConfigError, match="batch_size must be"):
        data.load("cifar10", **{**OPTIONS, "batch_size": 0})


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(DataError, match="batch of 64 does not fit the 10 samples"):
        data.load("digits", **{**OPTIONS, "batch_size": 64}, limit=10)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ConfigError, match=r"unknown data set 'cifar'.*cifar10, cifar100, digits"):
        data.load("cifar", **OPTIONS)


@pytest.mark.shared
def test_real_cifar10(shared_data):
    if not (shared_data / "cifar10").is_dir():
        pytest.skip(f"no cifar10 in {shared_data}")
    got = data.load("cifar10", root=shared_data, **OPTIONS)
    assert got.train.samples + got.validation.samples == 50_000
    assert got.test.samples == 10_000
    x, _ = next(
        iter(data.load("cifar10", root=shared_data, **{**OPTIONS, "batch_size": 5000}).test)
    )
    assert abs(float(x.mean())) < 0.05
    assert abs(float(x.std()) - 1) < 0.05


@pytest.mark.shared
def test_real_nmnist(shared_data):
    if not data.locate("nmnist", shared_data).serves:
        pytest.skip(f"no N-MNIST in {shared_data}")
    got = data.load("nmnist", root=shared_data, **OPTIONS)
    assert got.test.samples == 100
    assert len(torch.cat([y for _, y in got.test]).unique()) == 10


@pytest.mark.shared
def test_real_fashion_mnist(monkeypatch):
    from pathlib import Path

    from spikeprune.data import places

    monkeypatch.setattr(places, "SYSTEM_FOLDER", Path("/usr/share/datasets"))
    if not data.locate("fashion-mnist").serves:
        pytest.skip("no Fashion-MNIST under /usr/share/datasets")
    got = data.load("fashion-mnist", **{**OPTIONS, "batch_size": 5000})
    assert got.train.samples + got.validation.samples == 60_000
    x, _ = next(iter(got.score))
    assert abs(float(x.mean())) < 0.05
    assert abs(float(x.std()) - 1) < 0.05


def test_images_that_no_memory_holds_are_refused_before_they_are_resized(monkeypatch):
    monkeypatch.setattr(limits, "memory_bytes", lambda: 1000 * 16 * 16)
    with pytest.raises(ConfigError, match=r"1,\d+ images of 16x16 pixels .image_size. would take"):
        data.load("digits", batch_size=10, time_steps=1, seed=0, image_size=16)
