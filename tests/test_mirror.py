"""The tests mirror the source: `a/b.py` is tested by `tests/a/test_b.py`, and files stay small."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spikeprune"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))
WITHOUT = {"_version.py", "toolbox.py"}
"""Files without behaviour of their own."""
WHOLE = {Path("chaos"), Path("foreign"), Path("frameworks"), Path("fuzz")}
"""Folders of tests that go through the whole package."""


def twin(path):
    relative = path.relative_to(PACKAGE)
    return ROOT / "tests" / relative.with_name(f"test_{relative.name}")


def test_nineteen_of_twenty_files_have_a_test_of_their_name():
    needed = [path for path in SOURCES if str(path.relative_to(PACKAGE)) not in WITHOUT]
    missing = [str(path.relative_to(PACKAGE)) for path in needed if not twin(path).is_file()]
    assert len(missing) <= len(needed) / 20, "\n".join(missing)


def test_every_test_of_a_room_is_about_a_file_in_it():
    strays = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parent
        if folder != Path() and folder not in WHOLE and not (PACKAGE / folder).is_dir():
            strays.append(str(path.relative_to(ROOT)))
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_nine_files_in_ten_are_shorter_than_300_lines():
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES)
    assert lengths[len(lengths) * 9 // 10] < 300
