"""Batches: pure functions of seed and epoch."""

import pytest
import torch

from spikeprune.data.loader import Loader, generator_for
from spikeprune.data.types import DataInfo, Part


def info(kind="static", channels=1):
    return DataInfo(
        name="x",
        label="X",
        classes=("a", "b"),
        shape=(channels, 8, 8),
        mean=(0.5,) * channels if kind == "static" else (0.0,) * channels,
        std=(0.25,) * channels if kind == "static" else (2.0,) * channels,
        kind=kind,
        source="here",
    )


def part(count=50, shape=(1, 8, 8)):
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    images.flatten(1)[:, 0] = torch.arange(count)
    return Part(images, torch.arange(count))


def loader(samples=None, **options):
    samples = samples or part()
    index = options.pop("index", torch.arange(len(samples.labels)))
    return Loader(samples, index, options.pop("info", info()), batch_size=8, **options)


def epoch(batches, number):
    batches.set_epoch(number)
    return [(x.clone(), y.clone()) for x, y in batches]


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@pytest.fixture(autouse=True)
def _fixed_images():
    torch.manual_seed(0)


AUGMENT = ("crop", "flip", "cutout")


@pytest.mark.parametrize("augment", [(), *((name,) for name in AUGMENT), AUGMENT])
def test_seed_and_epoch_decide_the_batches(augment):
    samples = part()
    first, again = (loader(samples, shuffle=3, augment=augment) for _ in range(2))
    resumed = epoch(again, 2)
    assert same(epoch(first, 2), resumed)
    assert same(list(first), resumed)
    assert not same(epoch(first, 3), resumed)
    assert not same(epoch(loader(samples, shuffle=4, augment=augment), 2), resumed)


def test_the_global_generator_is_not_involved():
    batches = loader(shuffle=0, augment=AUGMENT)
    before = torch.get_rng_state()
    first = epoch(batches, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert same(first, epoch(batches, 0))


def test_the_order_of_names_does_not_matter():
    samples = part()
    one = loader(samples, shuffle=0, augment=AUGMENT)
    other = loader(samples, shuffle=0, augment=(*AUGMENT[::-1], "crop"))
    assert same(epoch(one, 1), epoch(other, 1))


def test_training_drops_the_last_partial_batch_and_repeats_nothing():
    batches = loader(shuffle=0)
    labels = torch.cat([y for _, y in batches])
    assert len(batches) == 6
    assert batches.samples == 50
    assert len(labels.unique()) == len(labels) == 48


def test_without_a_seed_all_samples_come_in_order():
    index = torch.tensor([1, 4, 5, 7, 8, 9, 20, 30, 40, 41])
    batches = loader(index=index)
    assert len(batches) == 2
    assert batches.samples == 10
    assert torch.cat([y for _, y in batches]).tolist() == index.tolist()
    assert [len(y) for _, y in batches] == [8, 2]


def test_an_empty_loader_hands_out_nothing():
    batches = loader(index=torch.arange(0))
    assert (len(batches), batches.samples, list(batches)) == (0, 0, [])


def test_images_are_normalised_and_keep_their_labels():
    samples = part()
    for x, y in loader(samples, shuffle=1):
        expected = (samples.images[y].double() / 255 - 0.5) / 0.25
        assert x.dtype == torch.float32
        assert torch.allclose(x.double(), expected, atol=1e-6)


def test_events_come_time_first_and_scaled_by_one_count():
    samples = part(shape=(3, 2, 8, 8))
    x, y = next(iter(loader(samples, info=info("events", 2))))
    assert x.shape == (3, 8, 2, 8, 8)
    assert x.is_contiguous()
    assert torch.allclose(x.transpose(0, 1), samples.images[y].float() / 2.0)


def test_augmentation_leaves_the_stored_images_alone():
    samples = part()
    before = samples.images.clone()
    list(loader(samples, shuffle=0, augment=AUGMENT))
    assert torch.equal(samples.images, before)


def test_cutout_clears_to_the_mean_colour():
    samples = Part(torch.full((8, 1, 8, 8), 255, dtype=torch.uint8), torch.arange(8))
    x, _ = next(iter(loader(samples, shuffle=0, augment=("cutout",))))
    assert sorted(x.unique().tolist()) == [0.0, 2.0]
    assert ((x == 0).sum((1, 2, 3)) <= 16).all()


def test_neighbouring_keys_give_unrelated_streams():
    draws = {
        int(torch.randint(0, 2**60, (), generator=generator_for(seed, epoch)))
        for seed in range(10)
        for epoch in range(10)
    }
    assert len(draws) == 100
