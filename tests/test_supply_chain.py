"""What comes with this package: licences of all that a user installs, and known vulnerabilities."""

import re
import runpy
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
AUDIT = runpy.run_path(str(ROOT / ".ci" / "audit.py"))

PERMISSIVE = {
    *("0BSD", "Apache 2.0", "Apache License", "Apache Software License", "Apache-2.0"),
    *("Apache-2.0 WITH LLVM-exception", "BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause"),
    *("3-Clause BSD License", "BSL-1.0", "CC0-1.0", "MIT", "MIT License", "MIT-CMU"),
    *("PSF-2.0", "Python Software Foundation License", "Zlib"),
}
"""As SPDX identifiers, and as classifiers and older metadata spell them."""

EXCEPTIONS = {"certifi": "MPL-2.0", "tqdm": "MPL-2.0 AND MIT"}
"""By package: a licence that binds only who changes files of the package; we change none."""


def needed(requirements):
    """Return the distributions that these requirements install here, by name; None: not there."""
    todo, found, seen = [Requirement(text) for text in requirements], {}, set()
    while todo:
        one = todo.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            found[name] = None
            continue
        for text in found[name].requires or ():
            inner = Requirement(text)
            if not inner.marker or any(inner.marker.evaluate({"extra": e}) for e in ("", *extras)):
                todo.append(inner)
    return found


def licences(found):
    """Return the licences of a distribution that all bind; of `A OR B` the first."""
    told = found.metadata.get("License-Expression")
    if not told:
        rows = found.metadata.get_all("Classifier") or []
        rows = [row.split(" :: ")[-1] for row in rows if row.startswith("License :: ")]
        told = " AND ".join(rows) or (found.metadata.get("License") or "")
    told = told.strip().replace("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0")
    told = told or first_line(found)
    return [part.split(" OR ")[0].strip("() ") for part in told.split(" AND ")]


def first_line(found):
    """Return how the LICENSE of a distribution without such metadata begins."""
    paths = [path for path in found.files or () if path.name == "LICENSE"]
    text = paths[0].locate().read_text(encoding="utf-8") if paths else ""
    return text.strip().partition("\n")[0]


def refused(distributions):
    """Return `name: licences` of all that are neither permissive nor an exception."""
    lines = []
    for name, found in distributions.items():
        told = licences(found)
        if not set(told) <= PERMISSIVE and " AND ".join(told) != EXCEPTIONS.get(name):
            lines.append(f"{name}: {' AND '.join(told) or 'no licence told'}")
    return lines


@pytest.mark.parametrize("extra", ["", "eventdriven", "ray"])
def test_everything_that_a_user_installs_is_under_a_permissive_licence(extra):
    requirements = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = needed(requirements)
    absent = sorted(name for name, one in found.items() if one is None)
    if extra and absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    assert absent == []
    assert len(found) >= len(requirements)
    assert refused(found) == []


@pytest.mark.parametrize(
    ("metadata", "permissive"),
    [
        ("License-Expression: MIT", True),
        ("License-Expression: Apache-2.0 OR GPL-2.0-only", True),
        ("License-Expression: MIT AND GPL-3.0-only", False),
        ("License: LGPL", False),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: a long text", True),
        ("License-Expression: MPL-2.0", False),
        ("Summary: says nothing", False),
    ],
)
def test_other_licences_are_named(tmp_path, monkeypatch, metadata, permissive):
    folder = tmp_path / "thing-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n{metadata}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = refused(needed(["thing"]))
    assert found == [] if permissive else re.match("thing: .", found[0])


def test_extras_are_followed_and_markers_asked(tmp_path, monkeypatch):
    lines = {
        "thing": ['more; extra == "all"', 'not-here; python_version < "3"', "other"],
        "more": [],
        "other": ["thing"],
    }
    for name, requires in lines.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        rows = "".join(f"Requires-Dist: {one}\n" for one in requires)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{rows}"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert needed(["thing"]).keys() == {"thing", "other"}
    assert needed(["thing[all]", "absent"]).keys() == {"thing", "other", "more", "absent"}
    assert needed(["absent"]) == {"absent": None}


# -- vulnerabilities ------------------------------------------------------------------------------


def package(name, *identifiers, **more):
    found = [{"id": i, "fix_versions": ["2.0"], "aliases": ["CVE-1"]} for i in identifiers]
    return {"name": name, "version": "1.0", "vulns": found, **more}


def test_a_vulnerability_fails_the_audit_unless_it_is_known_with_a_reason():
    found = {"dependencies": [package("sound"), package("weak", "PYSEC-7")]}
    lines, failed = AUDIT["judge"](found, {})
    assert failed
    assert "weak 1.0: PYSEC-7, mended in 2.0; NEW" in lines
    for identifier in ("PYSEC-7", "CVE-1"):
        lines, failed = AUDIT["judge"](found, {("weak", identifier): "never called"})
        assert not failed
        assert lines[0].endswith("; never called")
    _, failed = AUDIT["judge"](found, {("sound", "PYSEC-7"): "of another package"})
    assert failed


def test_an_index_that_tells_nothing_is_not_taken_for_good_news():
    found = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
    lines, failed = AUDIT["judge"](found, {})
    assert not failed
    assert lines[0].startswith("nothing was audited")


def test_every_known_vulnerability_has_a_reason():
    assert AUDIT["known"]("# a comment\n\nweak PYSEC-7 it is never called\n") == {
        ("weak", "PYSEC-7"): "it is never called"
    }
    for reason in AUDIT["known"](AUDIT["KNOWN"].read_text(encoding="utf-8")).values():
        assert len(reason.split()) > 2


# -- the oldest versions that are declared --------------------------------------------------------


def test_the_oldest_constraints_are_the_declared_minima():
    text = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)$", text, re.M))
    optional = PROJECT["optional-dependencies"]["eventdriven"]
    for declared in map(Requirement, [*PROJECT["dependencies"], *optional]):
        (least,) = [one.version for one in declared.specifier if one.operator == ">="]
        assert declared.specifier.contains(pins[declared.name]), declared
        assert pins[declared.name].startswith(least), declared
