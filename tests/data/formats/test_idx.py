"""idx files, whole and broken."""

import gzip
import struct
import tracemalloc

import pytest
import torch

from spikeprune import limits
from spikeprune.data.formats import idx
from spikeprune.data.sets import SETS
from spikeprune.errors import DataError

ROW = SETS["fashion-mnist"]


@pytest.mark.parametrize("compress", [True, False])
def test_both_forms_give_the_images_and_labels(idx_folder, compress):
    train, test = idx.read(idx_folder(compress=compress), ROW)
    assert train.images.shape == (60, 1, 28, 28)
    assert test.images.shape == (20, 1, 28, 28)
    assert train.labels.tolist() == [number % 10 for number in range(60)]
    assert torch.equal(train.images[:, 0, 0, 0].long(), train.labels)


def test_missing_files_are_named(idx_folder):
    folder = idx_folder()
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    there, lacking = idx.missing(folder, ROW)
    assert len(there) == 3
    assert lacking == ["t10k-labels-idx1-ubyte[.gz]"]
    with pytest.raises(DataError, match="lacks t10k"):
        idx.read(folder, ROW)


@pytest.mark.parametrize("keep", [2, 10, 200])
def test_a_truncated_file_is_refused_by_name(idx_folder, keep):
    folder = idx_folder(compress=False)
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="train-images-idx3-ubyte") as caught:
        idx.read(folder, ROW)
    assert "expected" in str(caught.value) or "promises" in str(caught.value)


def test_a_file_that_is_too_long_is_refused(idx_folder):
    folder = idx_folder(compress=False)
    file = folder / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"promises 60 values.*got more"):
        idx.read(folder, ROW)


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"x" * 999, mtime=0)[:-9], b""],
    ids=["not-gzip", "cut-short", "empty"],
)
def test_damaged_compression_is_refused(idx_folder, content):
    folder = idx_folder()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        idx.read(folder, ROW)


def test_images_and_labels_swapped_are_refused(idx_folder):
    folder = idx_folder(compress=False)
    (folder / "train-labels-idx1-ubyte").rename(folder / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match="start with 00000803, got 00000801"):
        idx.read_idx(folder / "train-images-idx3-ubyte", 3)


def test_what_does_not_fit_the_set_is_refused(idx_folder):
    with pytest.raises(DataError, match="27x27 pixels, expected 28x28"):
        idx.read(idx_folder("a", side=27), ROW)
    with pytest.raises(DataError, match="label 11, expected 0 to 9"):
        idx.read(idx_folder("b", labels=12), ROW)
    folder, other = idx_folder("c"), idx_folder("d", train=30)
    (other / "train-labels-idx1-ubyte.gz").replace(folder / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"60 images but .* 30 labels"):
        idx.read(folder, ROW)


def claiming(folder, name, shape, zeros, *, pack):
    """Write an idx file that promises `shape` and holds so many zeros."""
    content = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + bytes(zeros)
    (folder / name).write_bytes(gzip.compress(content, 1) if pack else content)
    return folder / name


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize(
    ("shape", "zeros", "message"),
    [
        ((10_000, 10_000, 10_000), 10, r"promises \(10000x.*at most 1,073,741,824, got 1,000,000,"),
        ((2**32 - 1,) * 3, 10, "at most 1,073,741,824, got 79,2"),
        ((2**30, 1, 1), 10, "promises 1073741824 values .*, got 10;"),
        ((2, 2, 2), 40_000_000, "promises 8 values .*, got more;"),
    ],
)
def test_a_file_that_promises_or_holds_too_much_is_refused_unread(
    tmp_path, pack, shape, zeros, message
):
    file = claiming(tmp_path, "x.gz" if pack else "x", shape, zeros, pack=pack)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        idx.read_idx(file, 3)
    assert tracemalloc.get_traced_memory()[1] < 4 * limits.MIB
    tracemalloc.stop()
