"""Recordings of event cameras and their frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.data.formats.recordings import Recording, bin_recording, read_recording
from spikeprune.errors import DataError

SHAPE = (2, 34, 34)


def events(time, x=None, y=None, polarity=None):
    zeros = np.zeros(len(time), dtype=np.int64)
    columns = (zeros if column is None else np.asarray(column) for column in (x, y, polarity))
    return Recording(*columns, np.asarray(time, dtype=np.int64))


def test_five_bytes_an_event(tmp_path):
    file = tmp_path / "1.bin"
    # x 3, y 33, brighter at 0x7FFFFF us; x 1, y 2, darker at 0x010203 us: earlier, so it leads.
    file.write_bytes(bytes([3, 33, 0xFF, 0xFF, 0xFF, 1, 2, 0x01, 0x02, 0x03]))
    got = read_recording(file, 34, 34)
    assert got.x.tolist() == [1, 3]
    assert got.y.tolist() == [2, 33]
    assert got.polarity.tolist() == [0, 1]
    assert got.time.tolist() == [0x010203, 0x7FFFFF]


@pytest.mark.parametrize("size", [0, 1, 7, 14])
def test_other_lengths_are_refused_by_name(tmp_path, size):
    file = tmp_path / "00007.bin"
    file.write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"00007.bin is truncated.*got {size}"):
        read_recording(file, 34, 34)


@pytest.mark.parametrize(("x", "y"), [(34, 0), (0, 34), (255, 255)])
def test_events_outside_the_sensor_are_refused(tmp_path, recording, x, y):
    file = tmp_path / "1.bin"
    file.write_bytes(recording(*(np.array([value]) for value in (x, y, 0, 5))))
    with pytest.raises(DataError, match=f"34x34 pixels, got one at x up to {x} and y up to {y}"):
        read_recording(file, 34, 34)


def test_frames_of_equal_duration():
    frames = bin_recording(events([100, 101, 149, 150, 199]), 2, SHAPE)
    assert frames.sum((1, 2, 3)).tolist() == [3, 2]
    assert frames.dtype == np.uint8


def test_frames_of_equal_count():
    frames = bin_recording(events([0, 1, 2, 3, 1000]), 2, SHAPE, binning="count")
    assert frames.sum((1, 2, 3)).tolist() == [3, 2]


def test_each_event_lands_on_its_pixel_and_polarity():
    frames = bin_recording(events([0, 9], x=[5, 7], y=[6, 8], polarity=[0, 1]), 2, SHAPE)
    assert np.argwhere(frames).tolist() == [[0, 0, 6, 5], [1, 1, 8, 7]]


def test_counts_stop_at_what_a_byte_holds():
    assert bin_recording(events(np.zeros(300)), 1, SHAPE).max() == 255


@given(
    times=st.lists(st.integers(0, 2**23 - 1), min_size=1, max_size=60),
    time_steps=st.integers(1, 90),
    binning=st.sampled_from(["duration", "count"]),
)
@settings(max_examples=60, deadline=None)
def test_no_event_is_lost_and_few_events_are_no_error(times, time_steps, binning):
    frames = bin_recording(events(sorted(times)), time_steps, (2, 3, 3), binning=binning)
    assert frames.shape == (time_steps, 2, 3, 3)
    assert frames.sum() == len(times)
    if binning == "count":
        per_frame = frames.sum((1, 2, 3))
        assert per_frame.max() - per_frame.min() <= 1


def test_a_recording_of_silly_size_is_refused_unread(tmp_path):
    with (tmp_path / "1.bin").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"1.bin: expected at most 67,108,864 bytes, got 1,099,511"):
        read_recording(tmp_path / "1.bin", 34, 34)
