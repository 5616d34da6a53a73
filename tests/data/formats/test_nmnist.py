"""N-MNIST: folders of recordings, as frames."""

import numpy as np
import pytest
import torch

from spikeprune import limits
from spikeprune.data.formats import nmnist
from spikeprune.data.options import Options
from spikeprune.data.sets import SETS
from spikeprune.data.types import Part
from spikeprune.errors import ConfigError, DataError

ROW = SETS["nmnist"]


def options(**changes):
    return Options(**{"batch_size": 4, "time_steps": 3, "seed": 0, **changes})


def test_every_recording_becomes_frames_of_all_its_events(nmnist_folder):
    samples = nmnist.read(nmnist_folder(), ROW, options())
    assert samples.train.images.shape == (30, 3, 2, 34, 34)
    assert samples.test.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    assert set(samples.train.images.sum((1, 2, 3, 4)).tolist()) == {40}
    for part in (samples.train, samples.test):  # the columns of the recordings are the digits
        columns = part.images.sum((1, 2, 3)).argmax(1)
        assert torch.equal(columns, part.labels)


def test_the_unit_is_the_mean_count_of_an_active_pixel(nmnist_folder):
    samples = nmnist.read(nmnist_folder(), ROW, options())
    counts = samples.train.images
    unit = float(counts[counts > 0].double().mean())
    assert samples.info.std == pytest.approx((unit, unit))
    assert samples.info.mean == (0.0, 0.0)
    assert f"{unit:.4g}" in samples.info.scaling
    small = Part(torch.tensor([0, 2, 0, 1, 6], dtype=torch.uint8), torch.zeros(5))
    assert nmnist.typical_count(small) == 3.0


def test_neighbouring_pixels_fall_together_on_a_coarser_grid(tmp_path, nmnist_folder, recording):
    folder = nmnist_folder()
    x, y = np.array([0, 1, 2, 33]), np.array([0, 1, 0, 33])
    content = recording(x, y, np.array([1, 1, 1, 0]), np.array([0, 1, 2, 3]))
    (folder / "Test" / "0" / "00001.bin").write_bytes(content)
    samples = nmnist.read(folder, ROW, options(time_steps=1, image_size=17))
    assert samples.info.shape == (2, 17, 17)
    frame = samples.test.images[0, 0]
    assert frame.nonzero().tolist() == [[0, 16, 16], [1, 0, 0], [1, 0, 1]]
    assert frame[1, 0, :2].tolist() == [2, 1]


def test_more_time_steps_than_events_are_still_frames(nmnist_folder):
    samples = nmnist.read(nmnist_folder(events=2), ROW, options(time_steps=9))
    assert samples.test.images.shape[1] == 9
    assert set(samples.test.images.sum((1, 2, 3, 4)).tolist()) == {2}


def test_missing_halves_are_named(nmnist_folder, tmp_path):
    assert nmnist.missing(nmnist_folder(), ROW) == (["Train", "Test"], [])
    there, lacking = nmnist.missing(tmp_path, ROW)
    assert (there, lacking) == ([], ["Train/<digit>/<id>.bin", "Test/<digit>/<id>.bin"])


def test_unfit_recordings_are_refused(nmnist_folder):
    folder = nmnist_folder()
    file = folder / "Train" / "4" / "00002.bin"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    with pytest.raises(DataError, match=r"00002.bin is truncated.*got 199"):
        nmnist.read(folder, ROW, options())
    file.write_bytes(kept)
    with pytest.raises(ConfigError, match="image_size 64 is larger than the 34x34"):
        nmnist.read(folder, ROW, options(image_size=64))
    for old in (folder / "Test" / "7").iterdir():
        old.unlink()
    with pytest.raises(DataError, match=r"7: expected recordings"):
        nmnist.read(folder, ROW, options())


def test_more_frames_than_fit_the_memory_are_refused(nmnist_folder, monkeypatch):
    folder = nmnist_folder()
    needed = 30 * 3 * 2 * 34 * 34
    monkeypatch.setattr(limits, "memory_bytes", lambda: needed)
    nmnist.read(folder, ROW, options())
    with pytest.raises(DataError, match=r"30 recordings of 4 frames \(time_steps\) .* would take"):
        nmnist.read(folder, ROW, options(time_steps=4))
