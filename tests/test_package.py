"""The package as others get it: wheel, version, public names, no traces of a machine."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import spikeprune

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spikeprune"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def build(root, out, **environment):
    """Build the wheel and the source distribution of `root`; return their paths by suffix."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), "-t", "sdist", "-t", "wheel"],
        **{"cwd": root, "env": os.environ | environment, "check": False},
        **{"capture_output": True, "text": True},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[".whl"]) as archive:
        yield archive


def test_another_build_at_another_time_and_place_has_the_same_bytes(built, tmp_path):
    """So anyone can make the distributed files from the source and see that they are these."""
    copy = tmp_path / "else where"
    with tarfile.open(built[".gz"]) as archive:
        archive.extractall(copy, filter="data")
    (root,) = copy.iterdir()
    (root / "PKG-INFO").unlink()  # written by the build
    for number, path in enumerate(root.rglob("*")):
        os.utime(path, (10**9 + 1000 * number,) * 2)
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
    again = build(root, tmp_path / "out", TZ="Asia/Tokyo", LC_ALL="C")
    assert again.keys() == built.keys() == {".whl", ".gz"}
    for suffix, path in built.items():
        assert again[suffix].name == path.name
        assert again[suffix].read_bytes() == path.read_bytes(), suffix


def test_the_wheel_holds_every_file_of_the_package(wheel):
    inside = {name for name in wheel.namelist() if name.startswith("spikeprune/")}
    here = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == here
    assert "spikeprune/py.typed" in inside
    for kind in ("recipes/demo.yaml", "lab/report/templates/report.html"):
        assert f"spikeprune/{kind}" in inside


def test_the_wheel_names_licence_version_and_command(wheel):
    info = f"spikeprune-{spikeprune.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {spikeprune.__version__}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    commands = wheel.read(f"{info}/entry_points.txt").decode()
    assert "spikeprune = spikeprune.__main__:main" in commands


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changelog = re.findall(r"^## \[(\d[\w.]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert spikeprune.__version__ == PROJECT["version"] == version("spikeprune")
    assert citation["version"] == PROJECT["version"] == changelog[0]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"


def test_the_citation_names_the_paper():
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Chen", "Liu", "Liu", "You"]
    assert "2311.16141" in paper["url"]


def test_public_names_are_few_and_there():
    assert len(spikeprune.__all__) <= 16
    assert spikeprune.__all__ == sorted(spikeprune.__all__)
    for name in spikeprune.__all__:
        thing = getattr(spikeprune, name)
        assert thing.__doc__, f"{name} has no docstring"


def test_the_library_loads_nothing_of_the_experiments():
    code = (
        "import sys; from spikeprune import Pruner, load; "
        "print(*(name for name in sys.modules if name.startswith('spikeprune.lab')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_pre_commit_hooks_need_nothing_from_elsewhere():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    dev = PROJECT["optional-dependencies"]["dev"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        command = Path(hook["entry"].split()[0]).name
        assert any(re.match(rf"{command}\b", requirement) for requirement in dev)


_HIDDEN = {".coverage", ".git"}  # where .git is a file, it names the folder of the repository


def _kept(path):
    return "__pycache__" not in path.parts  # compiled code, also numba's


def text_files():
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name not in _HIDDEN)
    for folder in ("src", "tests", "docs", "benchmarks", "study", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in {".pyc", ".png"} and path.is_file() and _kept(path):
                yield path


def test_no_path_of_a_machine_is_left():
    homes = "|".join(("work", "root", "home/[a-z]", "Users/[A-Z]", "tmp"))
    pattern = re.compile(rf"(?<![\w.~}}$/-])/(?:{homes})/")
    for path in text_files():
        found = pattern.search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"
