"""The user's own loaders: every batch is checked, lengths are found out."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.errors import DataError


def checked(batches, *, kind=None):
    """Batches of 5x5 grey images of three classes, or recordings of T = 3."""
    return CheckedLoader(
        batches, "train of mine", shape=(1, 5, 5), classes=3, time_steps=3, kind=kind
    )


def static(count=2):
    return torch.zeros(count, 1, 5, 5), torch.zeros(count).long()


def recordings(count=2):
    return torch.zeros(3, count, 1, 5, 5), torch.zeros(count).long()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(2, 1, 5, 5, dtype=torch.uint8), torch.zeros(2).long(), "got uint8"),
        (torch.zeros(2, 1, 5, 5), torch.tensor([0.5, 1]), r"0 to 2 for each sample.*\[0.5, 1.0\]"),
        (torch.zeros(2, 1, 5, 5), torch.zeros(3).long(), "expected 2 labels, one a sample, got 3"),
        (torch.zeros(2, 1, 5, 5), 0, "one label from 0 to 2"),
        (torch.zeros(2, 1, 5, 5), torch.tensor([0, 3]), r"from 0 to 2 .*\[0, 3\]"),
        (torch.zeros(2, 1, 5, 5), torch.tensor([-1, 0]), r"from 0 to 2 .*\[-1, 0\]"),
        (torch.zeros(2, 1, 5, 5), torch.tensor([[0, 1, 1], [1, 0, 0]]), "one label from 0 to 2"),
        (torch.zeros(4, 2, 1, 5, 5), torch.zeros(2).long(), "T = 3 time steps"),
        (torch.zeros(2, 1, 5, 6), torch.zeros(2).long(), r"got float32 \[2, 1, 5, 6\]"),
        (["a"], torch.zeros(2).long(), "got list"),
    ],
)
def test_every_batch_is_checked(x, y, message):
    loader = checked([static(), (x, y)])
    with pytest.raises(DataError, match=f"train of mine, batch 1: .*{message}"):
        list(loader)


@pytest.mark.parametrize("batch", [torch.zeros(2, 1, 5, 5), (torch.zeros(2),), {"x": 1, "y": 2}])
def test_a_batch_is_a_pair(batch):
    with pytest.raises(DataError, match=r"batch 0: expected .*\(input, labels\), got "):
        list(checked([batch]))


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([2, 0], dtype=torch.int32),
        torch.tensor([2.0, 0.0]),
        torch.tensor([[2], [0]]),
        torch.tensor([[0, 0, 1], [1, 0, 0]]),
    ],
)
def test_labels_as_people_have_them_are_classes(labels):
    x, _ = static()
    ((_, got),) = checked([(x, labels, "more")])
    assert got.dtype == torch.int64
    assert got.tolist() == [2, 0]


def test_samples_ahead_of_time_are_turned_round():
    x = torch.rand(2, 3, 1, 5, 5)
    square = torch.rand(3, 3, 1, 5, 5)
    first, second = checked([(x, torch.zeros(2)), (square, torch.zeros(3))])
    assert torch.equal(first[0], x.transpose(0, 1))
    assert torch.equal(second[0], square.transpose(0, 1))
    _, same = checked([recordings(), (square, torch.zeros(3))])
    assert torch.equal(same[0], square)


def test_time_and_samples_that_cannot_be_told_apart_are_refused():
    with pytest.raises(
        DataError, match=r"batch 0: .* other than T = 3 samples.*another batch size"
    ):
        list(checked([recordings(3)]))


def test_a_known_kind_excludes_the_other():
    assert len(list(checked([static(), recordings()]))) == 2
    with pytest.raises(DataError, match=r"batch 1: expected .* \[B, 1, 5, 5\], with T = 3"):
        list(checked([static(), recordings()], kind="static"))
    with pytest.raises(
        DataError, match=r"batch 0: expected .* \[3, B, 1, 5, 5\] or \[B, 3, 1, 5, 5\], with T = 3"
    ):
        list(checked([static()], kind="events"))


def test_batches_are_handed_on_as_float32():
    x, y = static()
    ((got, labels),) = checked([(x.double() + 0.5, y)])
    assert got.dtype == torch.float32
    assert torch.equal(got, x + 0.5)
    assert torch.equal(labels, y)


def test_the_kind_is_that_of_the_first_batch():
    assert checked([static()]).first_kind() == "static"
    assert checked([recordings()]).first_kind() == "events"
    with pytest.raises(DataError, match="train of mine: expected at least one batch, got none"):
        checked([]).first_kind()


@pytest.mark.parametrize("batches", [5, None, iter([]), (batch for batch in ())])
def test_what_can_be_iterated_only_once_is_refused(batches):
    with pytest.raises(DataError, match="iterated again and again"):
        checked(batches)


def test_an_empty_loader_has_no_batches():
    empty = CheckedLoader.empty()
    assert (list(empty), len(empty), empty.samples) == ([], 0, 0)


def test_a_data_loader_is_not_counted():
    class Counting(TensorDataset):
        read = 0

        def __getitem__(self, index):
            Counting.read += 1
            return super().__getitem__(index)

    loader = checked(DataLoader(Counting(*static(10)), batch_size=4, drop_last=True))
    assert (len(loader), loader.samples) == (2, 10)
    assert Counting.read == 0


def test_a_stream_without_length_is_counted_once():
    class Stream(IterableDataset):
        passes = 0

        def __iter__(self):
            Stream.passes += 1
            return iter([(torch.zeros(1, 5, 5), 0)] * 7)

    loader = checked(DataLoader(Stream(), batch_size=4))
    assert (len(loader), loader.samples) == (2, 7)
    assert Stream.passes == 1


def test_epochs_are_passed_on_to_loader_and_sampler():
    told = []

    class Sampler:
        def set_epoch(self, epoch):
            told.append(("sampler", epoch))

    class Batches(list):
        sampler = Sampler()

        def set_epoch(self, epoch):
            told.append(("loader", epoch))

    checked(Batches([static()])).set_epoch(4)
    checked([static()]).set_epoch(4)
    assert told == [("loader", 4), ("sampler", 4)]
