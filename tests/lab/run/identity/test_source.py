"""The files of a user's own code: found in the text of imports, nothing run."""

import hashlib
import sys
from zipfile import ZipFile

import pytest

from spikeprune.errors import RunError
from spikeprune.lab.run.identity.source import source_digests


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files of a current folder, by path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__init__", "INIT").replace("__", "/") + ".py")
            path = path.with_name(path.name.replace("INIT", "__init__"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_a_digest_is_that_of_the_text(write):
    write(net="x = 1\n")
    assert source_digests(["net"]) == {"net.py": hashlib.sha256(b"x = 1\n").hexdigest()}
    write(net="x = 2\n")
    assert source_digests(["net"]) == {"net.py": hashlib.sha256(b"x = 2\n").hexdigest()}


@pytest.mark.parametrize(
    "text",
    [
        "import parts.blocks",
        "from parts import blocks",
        "from parts.blocks import Block as B",
        "def build():\n    from parts import blocks",
        "if False:\n    import parts.blocks as b",
        "import importlib\nx = lambda: importlib.import_module('parts.blocks')",
        "from importlib import import_module\nimport_module('parts.blocks')",
        "x = __import__('parts.blocks')",
    ],
)
def test_every_form_of_import_is_followed_with_the_packages_around_it(write, text):
    write(net=text, parts____init__="", parts__blocks="import other", parts__more="", other="")
    assert list(source_digests(["net"])) == [
        "net.py",
        "other.py",
        "parts/__init__.py",
        "parts/blocks.py",
    ]


def test_relative_imports_and_stars_are_followed(write):
    write(
        pack____init__="__all__ = ['starred']",
        pack__net="from . import a\nfrom .deep import b\nfrom .. import no",
        pack__a="",
        pack__starred="",
        pack__deep____init__="",
        pack__deep__b="from ..c import x\nfrom ...no import y",
        pack__c="",
        pack__unused="",
    )
    assert list(source_digests(["pack.net"])) == [
        f"pack/{name}.py"
        for name in ("__init__", "a", "c", "deep/__init__", "deep/b", "net", "starred")
    ]


def test_a_name_that_is_computed_counts_all_files_that_are_beside(write):
    write(
        net="import importlib\nimportlib.import_module(NAME)", one="", sub____init__="", sub__two=""
    )
    write(other__loose="")  # in no package
    assert list(source_digests(["net"])) == ["net.py", "one.py", "sub/__init__.py", "sub/two.py"]


def test_a_folder_without_init_is_a_package(write):
    write(net="from loose import a", loose__a="")
    assert list(source_digests(["net"])) == ["loose/a.py", "net.py"]


def test_circles_and_broken_files_end(write):
    write(net="import other", other="import net\nimport broken", broken="def (")
    assert list(source_digests(["net", "other"])) == ["broken.py", "net.py", "other.py"]


def test_python_s_own_and_installed_modules_are_not_followed(write):
    write(net="import json, torch, spikeprune.lab.run.run, spikingjelly, numpy.linalg")
    assert list(source_digests(["net"])) == ["net.py"]


def test_an_environment_in_the_current_folder_is_installed(write, tmp_path, monkeypatch):
    write(net="import kept")
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "kept.py").write_text("")
    monkeypatch.syspath_prepend(packages)
    assert list(source_digests(["net"])) == ["net.py"]


def test_entries_of_pythonpath_and_the_folder_of_a_named_module_are_followed(
    write, tmp_path, monkeypatch
):
    here, elsewhere, third = (tmp_path / name for name in ("here", "elsewhere", "third"))
    for folder in (here, elsewhere, third):
        folder.mkdir()
    (here / "net.py").write_text("import beside, far, away")
    (here / "beside.py").write_text("")
    (elsewhere / "far.py").write_text("")
    (third / "away.py").write_text("")
    for folder in (third, elsewhere, here):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(elsewhere)
    assert list(source_digests(["net"])) == ["beside.py", "far.py", "net.py"]
    monkeypatch.setenv("PYTHONPATH", str(third))
    assert list(source_digests(["net"])) == ["away.py", "beside.py", "far.py", "net.py"]


def test_a_named_module_that_is_installed_counts_by_the_record_of_its_files(write):
    (name,) = source_digests(["pluggy"])
    assert name == "pluggy (installed)"


def test_a_named_module_without_a_file_cannot_be_compared(write):
    assert source_digests(["nowhere"]) == {"nowhere": ""}
    assert source_digests(["json"]) == {"json": ""}


def test_a_file_that_changed_after_its_import_is_refused(write, tmp_path, monkeypatch):
    write(edited_net="x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("edited_net")
    source_digests(["edited_net"])
    write(edited_net="x = 2")
    with pytest.raises(RunError, match=r"edited_net\.py has changed since this process"):
        source_digests(["edited_net"])
    del sys.modules["edited_net"]  # as a new process
    source_digests(["edited_net"])


def test_a_module_in_an_archive_cannot_be_compared(write, tmp_path, monkeypatch):
    with ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("zipped.py", "")
    monkeypatch.syspath_prepend(tmp_path / "code.zip")
    write(net="import zipped")
    assert source_digests(["net"])["zipped"] == ""
