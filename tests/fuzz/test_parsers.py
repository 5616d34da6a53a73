"""Every file of the corpus gives a result or a SpikePruneError, without a fuzzer and in time."""

import time
from pathlib import Path

import pytest
from tests.fuzz.parsers.targets import TARGETS, read

from spikeprune.errors import SpikePruneError

CORPUS = Path(__file__).parent / "parsers" / "corpus"


def outcome(name, content, folder):
    """Read a content, and return 'result', 'refused', or how else it ended."""
    folder.mkdir()
    started = time.process_time()
    try:
        read(name, content, folder)
    except SpikePruneError as error:
        how = "refused" if str(error) else "refused without a word"
    except Exception as error:
        how = repr(error)
    else:
        how = "result"
    return how if time.process_time() - started < 1 else f"{how}, slowly"


@pytest.fixture(autouse=True)
def _modules_are_imported(request, tmp_path):
    """What a first reading imports does not count as its time."""
    name = request.node.callspec.params["name"]
    outcome(name, TARGETS[name].seeds()[0], tmp_path / "first")


@pytest.mark.parametrize("name", TARGETS)
def test_every_file_is_read_or_refused(name, tmp_path):
    files = sorted((CORPUS / name).iterdir())
    assert files
    ends = {f.name: outcome(name, f.read_bytes(), tmp_path / f.name) for f in files}
    assert set(ends.values()) <= {"result", "refused"}, ends
    assert all(file.stat().st_size <= 2000 for file in files)
    assert len(files) <= 30


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_is_read_but_not_when_it_is_cut_short(name, tmp_path):
    whole, *_ = TARGETS[name].seeds()
    assert outcome(name, whole, tmp_path / "whole") == "result"
    ends = {outcome(name, whole[:n], tmp_path / str(n)) for n in (0, 1, len(whole) // 2)}
    assert ends <= {"result", "refused"}
    assert "refused" in ends or name == "history"  # whose last line may be cut off
