"""Damaged files of a finished and of a half-finished run, under every command."""

import random

from tests.chaos.faults.results import COMMANDS, result
from tests.chaos.ground import Case

_OTHER = {"a list": b"[]", "a number": b"1", "a text": b'"x"', "null": b"null", "a dict": b"{}"}


def _flipped(content, share):
    changed = bytearray(content)
    changed[int(share * (len(changed) - 1))] ^= 4
    return bytes(changed)


DAMAGES = {
    "emptied": lambda old: b"",
    "cut after a byte": lambda old: old[:1],
    "cut in the first tenth": lambda old: old[: len(old) // 10],
    "cut in half": lambda old: old[: len(old) // 2],
    "cut before the last ten bytes": lambda old: old[:-10],
    "random bytes": lambda old: random.Random(0).randbytes(len(old)),
    "random bytes in the middle": lambda old: (
        old[: len(old) // 2] + random.Random(1).randbytes(16) + old[len(old) // 2 + 16 :]
    ),
    "zeros at the end": lambda old: old[: len(old) // 2] + bytes(len(old) - len(old) // 2),
    "a flipped bit at 5 %": lambda old: _flipped(old, 0.05),
    "a flipped bit at 50 %": lambda old: _flipped(old, 0.5),
    "a flipped bit at 95 %": lambda old: _flipped(old, 0.95),
    **{f"{name} instead": lambda old, new=new: new for name, new in _OTHER.items()},
    "removed": None,
    "a deep list": lambda old: b"[" * 100_000 + b"]" * 100_000,
    "a huge number": lambda old: b'{"schema": 1' + b"0" * 5000 + b"}",
}
"""What becomes of the content of a file; None removes it."""


def cases(ground):
    """Return a case for every file, damage and command."""
    return [
        Case(f"{state}, {path} {name}, {command}", _check(ground, state, path, name, command))
        for state in ("half", "finished")
        for path in _files(getattr(ground, state))
        for name in DAMAGES
        for command in (COMMANDS if state == "finished" else ("again",))
    ]


def _files(folder):
    """Return the files that spikeprune reads again, not those for other readers."""
    paths = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in paths if "tfevents" not in p and not p.endswith(".html"))


def _check(ground, state, path, name, command):
    def check(place):
        ground.put(state, place)
        damage(place / path, name)
        return result(ground, place, command, path=path, state=state)

    return check


def damage(path, name):
    """Damage a file."""
    change = DAMAGES[name]
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
