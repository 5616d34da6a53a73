"""Folders of images: classes, sizes, colours, and what is refused by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from spikeprune.data.formats import image_folder
from spikeprune.errors import DataError


def test_folders_are_classes_and_files_are_samples(image_tree):
    folder = image_tree()
    samples = image_folder.read(folder, None)
    assert (samples.info.name, samples.info.source) == ("images", str(folder))
    assert (samples.info.classes, samples.info.shape) == (("cat", "dog"), (3, 10, 12))
    assert samples.train.labels.tolist() == [0] * 5 + [1] * 5
    assert samples.test.labels.tolist() == [0, 0, 1, 1]
    pixels = np.asarray(Image.open(folder / "test" / "dog" / "1.png")).copy()
    assert torch.equal(samples.test.images[3], torch.from_numpy(pixels).permute(2, 0, 1))


def test_mean_and_deviation_are_those_of_the_training_pixels(image_tree):
    samples = image_folder.read(image_tree(), None)
    pixels = samples.train.images.double() / 255
    assert samples.info.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert samples.info.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist())


def test_files_may_lie_deeper_and_others_are_passed_over(image_tree):
    folder = image_tree(train=1)
    (folder / "train" / "cat" / "more").mkdir()
    Image.new("RGB", (12, 10)).save(folder / "train" / "cat" / "more" / "z.JPG", "JPEG")
    (folder / "train" / "cat" / "notes.txt").write_text("no image")
    (folder / "train" / ".hidden").mkdir()
    samples = image_folder.read(folder, None)
    assert samples.info.classes == ("cat", "dog")
    assert samples.train.labels.tolist() == [0, 0, 1]
    assert samples.train.encoding == "JPEG"


def test_grey_folders_stay_grey_and_sizes_can_be_evened_out(image_tree):
    folder = image_tree(mode="L")
    assert image_folder.read(folder, None).info.shape == (1, 10, 12)
    Image.new("L", (3, 9)).save(folder / "train" / "cat" / "odd.png")
    with pytest.raises(DataError, match=r"odd.png: expected .* 12x10 .* got 3x9; .*image_size"):
        image_folder.read(folder, None)
    assert image_folder.read(folder, 16).info.shape == (1, 16, 16)
    Image.new("RGB", (3, 9)).save(folder / "train" / "cat" / "odd.png")
    samples = image_folder.read(folder, 16)
    assert samples.info.shape == (3, 16, 16)
    assert samples.train.images.shape == (11, 3, 16, 16)


def test_a_replaced_image_is_decoded_again(image_tree):
    folder = image_tree()
    before = image_folder.read(folder, None).test.images
    Image.new("RGB", (12, 10), "white").save(folder / "test" / "cat" / "0.png")
    after = image_folder.read(folder, None).test.images
    assert int(after[0].min()) == 255
    assert torch.equal(after[1:], before[1:])


def test_unfit_folders_are_refused(image_tree, tmp_path):
    folder = image_tree()
    with pytest.raises(DataError, match="train is missing"):
        image_folder.read(tmp_path / "nowhere", None)
    (folder / "test" / "cow").mkdir()
    with pytest.raises(DataError, match="cow: expected at least one image"):
        image_folder.read(folder, None)
    Image.new("RGB", (12, 10)).save(folder / "test" / "cow" / "1.png")
    with pytest.raises(DataError, match="only one of them has cow"):
        image_folder.read(folder, None)
    (folder / "test" / "cow" / "1.png").unlink()
    (folder / "test" / "cow").rmdir()
    (folder / "train" / "cat" / "0.png").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"0.png: not a whole image"):
        image_folder.read(folder, None)
    (tmp_path / "one" / "train" / "only").mkdir(parents=True)
    with pytest.raises(DataError, match="at least two classes, got 1"):
        image_folder.read(tmp_path / "one", None)
