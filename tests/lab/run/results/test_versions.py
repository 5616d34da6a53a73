"""The versions that a result depends on; the hash of the source that computes a run."""

import re
import shutil
from pathlib import Path

import pytest
import torch

import spikeprune
from spikeprune.lab.run.results import versions as module
from spikeprune.lab.run.results.versions import versions


def test_versions_are_those_that_a_result_depends_on():
    names = {"python", "torch", "spikingjelly", "torch-pruning", "spikeprune", "code"}
    assert versions().keys() == names
    assert torch.__version__.startswith(versions()["torch"])  # which may add +cu124
    assert re.fullmatch("[0-9a-f]{8}", versions()["code"])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, whose source is hashed instead."""
    source, copy = Path(spikeprune.__file__).parent, tmp_path / "spikeprune"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "__file__", str(copy / "lab" / "run" / "results" / "versions.py"))
    return copy


def hashed():
    return module.code_hash.__wrapped__()


ROOMS = {
    path.relative_to(Path(spikeprune.__file__).parent).as_posix()
    for folder in (Path(spikeprune.__file__).parent, Path(spikeprune.__file__).parent / "lab")
    for path in folder.iterdir()
    if path.suffix == ".py" or (path / "__init__.py").is_file()
} - {"lab"}
NOT_COMPUTING = {
    "cli.py",
    "commands",
    "lab/analysis",
    "lab/compare",
    "lab/report",
    "lab/reproduce",
    "lab/search",
}


def test_the_rooms_that_do_not_compute_exist():
    assert NOT_COMPUTING < ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_the_hash_changes_with_each_room_that_computes_a_run(package, room):
    first = hashed()
    assert first == versions()["code"]
    file = package / room if room.endswith(".py") else package / room / "new.py"
    with file.open("a") as opened:
        opened.write("# edited")
    assert (hashed() == first) == (room in NOT_COMPUTING)


def test_the_hash_changes_with_names_and_in_depth(package):
    seen = {hashed()}
    file = package / "lab" / "run" / "stages" / "train.py"
    file.write_text(file.read_text() + "# edited")
    seen.add(hashed())
    (package / "science" / "select.py").rename(package / "science" / "choose.py")
    seen.add(hashed())
    assert len(seen) == 3
