"""Checksums of a folder's files: a lost, shortened or changed one is noticed."""

import hashlib

import pytest

from spikeprune.errors import RunError
from spikeprune.files import read_json
from spikeprune.manifest import NAME, faults, in_words, require_whole, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dense").mkdir()
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    (tmp_path / "dense" / "b.bin").write_bytes(b"")
    write_manifest(tmp_path, ["a.bin", "dense/b.bin"], {"last.json": b"{}"})
    (tmp_path / "last.json").write_bytes(b"{}")
    return tmp_path


def test_a_whole_folder_has_no_faults(folder):
    entry = read_json(folder / NAME)["files"]["a.bin"]
    assert entry == {"bytes": 10, "sha256": hashlib.sha256(b"0123456789").hexdigest()}
    assert faults(folder) == {}
    require_whole(folder)


def test_every_kind_of_fault_is_named(folder):
    (folder / "a.bin").write_bytes(b"0123456788")  # one bit
    (folder / "dense" / "b.bin").write_bytes(b"x")
    (folder / "last.json").unlink()
    found = faults(folder)
    assert found == {
        "a.bin": "differs from its checksum in manifest.json",
        "dense/b.bin": "has 1 bytes, not 0",
        "last.json": "is missing",
    }
    assert in_words(found).startswith("a.bin differs from its checksum in manifest.json, dense/b")
    with pytest.raises(RunError, match=r"a.bin differs from its checksum"):
        require_whole(folder, "a.bin")
    require_whole(folder, "other")


def test_nobody_is_sent_to_run_when_its_options_are_lost(tmp_path):
    write_manifest(tmp_path, [], {"config.yaml": b"seed: 0"})
    with pytest.raises(RunError, match=r"config\.yaml is missing; put config\.yaml back, or train"):
        require_whole(tmp_path)


def test_a_folder_in_place_of_a_file_is_a_fault(folder):
    (folder / "a.bin").unlink()
    (folder / "a.bin").mkdir()
    assert faults(folder) == {"a.bin": "is missing"}


def test_a_folder_of_an_older_version_has_no_manifest(tmp_path):
    assert faults(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "files": {"a": 1}}'])
def test_a_damaged_manifest_is_refused(folder, text):
    (folder / NAME).write_text(text)
    with pytest.raises(RunError, match=NAME):
        require_whole(folder)
