"""Small data sets in their true on-disk form, and the real ones where they are at hand."""

import gzip
import io
import json
import os
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spikeprune.data import places


@pytest.fixture(autouse=True)
def _own_cache_and_no_system_data(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setattr(places, "SYSTEM_FOLDER", home / "system")


@pytest.fixture
def cache_folder():
    return Path(os.environ["XDG_CACHE_HOME"]) / "spikeprune"


@pytest.fixture
def no_network(monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def shared_data():
    """The folder with real data; skips the test where there is none."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SPIKEPRUNE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; name its folder in SPIKEPRUNE_DATA")
    return folder


def _idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    """Write the four files of (Fashion-)MNIST; returns the folder."""

    def write(name="fashion-mnist", *, train=60, test=20, compress=True, side=28, labels=10):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        random = np.random.default_rng(0)
        for half, count in (("train", train), ("t10k", test)):
            images = random.integers(0, 256, (count, side, side), dtype=np.uint8)
            values = (np.arange(count) % labels).astype(np.uint8)
            images[:, 0, 0] = values
            for kind, array in (("images-idx3", images), ("labels-idx1", values)):
                content = _idx_bytes(array)
                ending = ".gz" if compress else ""
                content = gzip.compress(content) if compress else content
                (folder / f"{half}-{kind}-ubyte{ending}").write_bytes(content)
        return folder

    return write


def encode(pixels, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


@pytest.fixture
def encoded():
    return encode


@pytest.fixture
def parquet_file():
    """Write one Parquet file in the column layout of the hub."""

    def write(file, images, labels, *, columns=("img", "label"), names=None):
        file.parent.mkdir(parents=True, exist_ok=True)
        cells = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
        cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        label_type = pa.int64() if all(isinstance(v, int) for v in labels) else None
        arrays = [pa.array(cells, type=cell), pa.array(labels, type=label_type)]
        table = pa.table(arrays, names=list(columns))
        if names is not None:
            features = {
                columns[0]: {"_type": "Image"},
                columns[1]: {"names": list(names), "_type": "ClassLabel"},
            }
            info = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": info})
        pq.write_table(table, file)
        return file

    return write


@pytest.fixture
def cifar10_folder(tmp_path, parquet_file):
    """Write a small CIFAR-10; pixel (0, 0) of each image is its label in every channel."""

    def write(form="PNG", *, train=40, test=20, side=32, names=None):
        random = np.random.default_rng(1)
        folder = tmp_path / "cifar10"
        for split, count in (("train", train), ("test", test)):
            labels = [number % 10 for number in range(count)]
            pixels = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
            pixels[:, 0, 0] = np.array(labels, dtype=np.uint8)[:, None]
            images = [encode(image, form) for image in pixels]
            file = folder / f"{split}-00000-of-00001.parquet"
            parquet_file(file, images, labels, names=names)
        return folder

    return write


@pytest.fixture
def image_tree(tmp_path):
    """Write train/<class>/<n>.png and test/<class>/<n>.png."""

    def write(classes=("cat", "dog"), *, train=5, test=2, size=(12, 10), mode="RGB"):
        random = np.random.default_rng(2)
        for half, count in (("train", train), ("test", test)):
            for name in classes:
                (tmp_path / "images" / half / name).mkdir(parents=True)
                for number in range(count):
                    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
                    pixels = random.integers(0, 256, shape, dtype=np.uint8)
                    file = tmp_path / "images" / half / name / f"{number}.png"
                    Image.fromarray(pixels).save(file)
        return tmp_path / "images"

    return write


def event_bytes(x, y, polarity, time):
    columns = [x, y, (polarity << 7) | (time >> 16), (time >> 8) & 0xFF, time & 0xFF]
    return np.stack([np.asarray(column) for column in columns], axis=1).astype(np.uint8).tobytes()


@pytest.fixture
def recording():
    return event_bytes


@pytest.fixture
def nmnist_folder(tmp_path):
    """Write a small N-MNIST: recordings of 40 events whose x and y are the digit and its id."""

    def write(*, train=3, test=2, events=40):
        random = np.random.default_rng(3)
        for half, count in (("Train", train), ("Test", test)):
            for digit in range(10):
                folder = tmp_path / "nmnist" / half / str(digit)
                folder.mkdir(parents=True)
                for number in range(count):
                    time = np.sort(random.integers(0, 300_000, events))
                    polarity = random.integers(0, 2, events)
                    x, y = np.full(events, digit), np.full(events, number)
                    content = event_bytes(x, y, polarity, time)
                    (folder / f"{number + 1:05d}.bin").write_bytes(content)
        return tmp_path / "nmnist"

    return write
