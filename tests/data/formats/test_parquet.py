"""Local Parquet files: layouts, shards, and what is refused by name."""

import numpy as np
import pytest
import torch

from spikeprune import limits
from spikeprune.data.formats import parquet
from spikeprune.data.sets import SETS
from spikeprune.errors import DataError

ROW = SETS["cifar10"]


@pytest.fixture
def black(encoded):
    return encoded(np.zeros((32, 32, 3), dtype=np.uint8))


def write(parquet_file, folder, images, labels, **options):
    for split in ("train", "test"):
        parquet_file(folder / f"{split}.parquet", images, labels, **options)


@pytest.mark.parametrize(
    "layout",
    ["train-00000-of-00001.parquet", "train.parquet", "train/0.parquet", "data/train-0.parquet"],
)
def test_pixels_and_labels_arrive_in_order(cifar10_folder, layout):
    folder = cifar10_folder()
    for split in ("train", "test"):
        target = folder / layout.replace("train", split)
        target.parent.mkdir(exist_ok=True)
        (folder / f"{split}-00000-of-00001.parquet").rename(target)
    assert parquet.missing(folder, ROW) == (["train-*.parquet", "test-*.parquet"], [])
    train, test = parquet.read(folder, ROW)
    assert (train.images.shape, test.images.shape) == ((40, 3, 32, 32), (20, 3, 32, 32))
    for part in (train, test):
        assert part.labels.tolist() == [number % 10 for number in range(len(part.labels))]
        for channel in range(3):
            assert torch.equal(part.images[:, channel, 0, 0].long(), part.labels)


def test_missing_splits_are_named(tmp_path):
    assert parquet.missing(tmp_path, ROW) == ([], ["train-*.parquet", "test-*.parquet"])
    (tmp_path / "train.parquet").touch()
    assert parquet.missing(tmp_path, ROW) == (["train-*.parquet"], ["test-*.parquet"])


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_encoding_is_told(cifar10_folder, form):
    assert [part.encoding for part in parquet.read(cifar10_folder(form), ROW)] == [form, form]


def test_the_feature_types_of_the_hub_are_understood(cifar10_folder):
    names = [f"class {number}" for number in range(10)]
    _, test = parquet.read(cifar10_folder(names=names), ROW)
    assert test.labels.tolist() == [number % 10 for number in range(20)]


def test_a_changed_file_is_decoded_again(cifar10_folder, black, parquet_file):
    folder = cifar10_folder()
    parquet.read(folder, ROW)
    parquet_file(folder / "test-00000-of-00001.parquet", [black] * 3, [1, 2, 3])
    train, test = parquet.read(folder, ROW)
    assert (len(train.labels), test.labels.tolist()) == (40, [1, 2, 3])


def test_shards_are_joined_in_order_and_must_be_complete(tmp_path, black, parquet_file):
    folder = tmp_path / "cifar[100]"  # a name that is no pattern
    row = SETS["cifar100"]
    for split in ("train", "test"):
        for shard in range(2):
            file = folder / f"{split}-0000{shard}-of-00002.parquet"
            parquet_file(file, [black] * 5, [99 - shard] * 5, columns=("img", "fine_label"))
    _, test = parquet.read(folder, row)
    assert test.labels.tolist() == [99] * 5 + [98] * 5
    (folder / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"expected 2 Parquet files .* got numbers \[0\]"):
        parquet.read(folder, row)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ("image", "label")}, "expected the columns img and label .* got image, label"),
        ({"labels": [0, 1, 2, 10]}, r"train.parquet, row 3: label 10, expected 0 to 9"),
        ({"labels": [0, -1, 2, 3]}, "row 1: label -1"),
        ({"labels": ["a", "b", "c", "d"]}, "row 0: expected a whole number as label, got 'a'"),
        ({"names": ["yes", "no"], "labels": [0, 1, 0, 1]}, "expected 10 classes .* got 2"),
        ({"images": [None] * 4}, "row 0: expected the bytes of an image, got NoneType"),
        ({"images": [b"rubbish"] * 4}, "row 0: not a whole image"),
        ({"images": [], "labels": []}, "at least one row, got none"),
    ],
)
def test_unfit_files_are_refused_and_not_cached(
    tmp_path, black, parquet_file, cache_folder, changes, message
):
    written = {"images": [black] * 4, "labels": [0, 1, 2, 3], **changes}
    write(parquet_file, tmp_path, **written)
    with pytest.raises(DataError, match=message):
        parquet.read(tmp_path, ROW)
    assert not cache_folder.exists()


def test_images_of_another_size_are_refused(tmp_path, encoded, parquet_file):
    write(parquet_file, tmp_path, [encoded(np.zeros((31, 32, 3), dtype=np.uint8))], [0])
    with pytest.raises(DataError, match=r"row 0: expected an image of 32x32 .* got 32x31"):
        parquet.read(tmp_path, ROW)


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_truncated_files_are_refused_by_name(cifar10_folder, keep, capfd):
    folder = cifar10_folder()
    file = folder / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet cannot be read"):
        parquet.read(folder, ROW)
    assert capfd.readouterr() == ("", "")


def test_files_that_claim_too_much_are_refused_by_their_footers(cifar10_folder, monkeypatch):
    folder = cifar10_folder()
    for name, value, message in (
        ("PARQUET_ROWS", 39, r"rows of .*: expected at most 39, got 40"),
        ("PARQUET_BYTES", 100, "when unpacked: expected at most 100 bytes, got "),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(limits, name, value)
            with pytest.raises(DataError, match=message):
                parquet.read(folder, ROW)
    monkeypatch.setattr(limits, "memory_bytes", lambda: 40 * 3 * 32 * 32 - 1)
    with pytest.raises(DataError, match=r"(40 images of 3x32x32 in|when unpacked) .*would take"):
        parquet.read(folder, ROW)
