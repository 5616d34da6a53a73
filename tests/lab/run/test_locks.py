import subprocess
import sys

import pytest

from spikeprune.lab.run.locks import held, is_held

HOLD = """
import sys
from pathlib import Path
from spikeprune.lab.run.locks import held
with held(Path(sys.argv[1]), busy=lambda: None):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("data: digits")
    return path


def refuse():
    raise RuntimeError("busy")


def test_asking_whether_it_is_held_takes_nothing(file, tmp_path):
    assert not is_held(tmp_path / "absent")
    with held(file, refuse):
        assert is_held(file)
    assert not is_held(file)
    with held(file, refuse):
        pass


def test_it_is_held_while_active_and_let_go_after_an_exception(file):
    with held(file, refuse), pytest.raises(RuntimeError, match="busy"), held(file, refuse):
        pass
    with pytest.raises(KeyError), held(file, refuse):
        raise KeyError
    with held(file, refuse):
        assert file.read_text() == "data: digits"


def test_a_file_system_without_locks_is_no_reason_to_stop(file, monkeypatch):
    def flock(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with held(file, refuse):
        pass


def test_another_process_is_waited_for_and_its_death_lets_go(file):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    waits = []

    def wait():
        waits.append(True)
        process.kill()

    with process:
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(RuntimeError, match="busy"), held(file, refuse):
            pass
        with held(file, wait):
            assert waits == [True]
