"""Decoded samples on disk."""

import os
from pathlib import Path

import pytest
import torch

from spikeprune.data import cache
from spikeprune.data.types import Part


@pytest.fixture
def make():
    class Make:
        calls = 0

        def __call__(self):
            self.calls += 1
            images = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
            return Part(images, torch.tensor([0, 1]), "PNG")

    return Make()


def test_a_part_is_made_once_and_comes_back_whole(make, cache_folder):
    first, second = cache.remember("k", make), cache.remember("k", make)
    assert make.calls == 1
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert second.encoding == "PNG"
    assert cache.exists("k")
    assert not cache.exists("other")
    assert [file.name for file in cache_folder.iterdir()] == ["k.safetensors"]


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_entry_is_made_again(make, cache_folder, damage):
    cache.remember("k", make)
    file = cache_folder / "k.safetensors"
    file.write_bytes(file.read_bytes()[:-3] if damage is None else damage)
    assert torch.equal(cache.remember("k", make).images, make().images)
    assert cache.remember("k", make).encoding == "PNG"
    assert make.calls == 3


def test_an_entry_of_another_kind_is_made_again(make, cache_folder):
    from safetensors.torch import save_file

    cache_folder.mkdir(parents=True)
    save_file({"other": torch.zeros(1)}, cache_folder / "k.safetensors")
    cache.remember("k", make)
    save_file(
        {"images": torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "labels": torch.zeros(2).long()},
        cache_folder / "k.safetensors",
        metadata={"encoding": ""},
    )
    cache.remember("k", make)
    assert make.calls == 2


def test_without_a_place_to_write_it_still_works(make, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert cache.remember("k", make).encoding == "PNG"
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    assert not cache.exists("k")
    assert cache.remember("k", make).encoding == "PNG"


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.folder() == tmp_path / ".cache" / "spikeprune"


def test_a_failed_write_leaves_no_partial_file(make, monkeypatch, cache_folder):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(cache, "save_file", fail)
    cache.remember("k", make)
    assert list(cache_folder.iterdir()) == []


def test_the_key_follows_files_and_facts(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    os.utime(file, ns=(0, 1))
    key = cache.fingerprint([file], "fact", 4)
    assert key == cache.fingerprint([file], "fact", 4)
    assert key != cache.fingerprint([file], "fact", 5)
    os.utime(file, ns=(0, 2))
    assert key != cache.fingerprint([file], "fact", 4)
    os.utime(file, ns=(0, 1))
    file.write_text("12")
    os.utime(file, ns=(0, 1))
    assert key != cache.fingerprint([file], "fact", 4)


@pytest.mark.parametrize("way", ["written over", "moved into place"])
def test_a_file_that_was_replaced_with_size_and_time_kept_is_noticed(tmp_path, way):
    """As `cp -p` and `rsync` leave it."""
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("one")
    key, status = cache.fingerprint([file]), file.stat()
    other.write_text("two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    if way == "written over":
        file.write_text("two")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        other.rename(file)
    now = file.stat()
    assert (now.st_size, now.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert cache.fingerprint([file]) != key
