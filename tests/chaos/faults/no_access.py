"""Disks that can only be read, and files and folders without permission."""

import os

from tests.chaos import disk
from tests.chaos.child import call, without_rights
from tests.chaos.faults.results import COMMANDS, result
from tests.chaos.ground import Case
from tests.chaos.tiny import RUN, bits
from tests.chaos.verdict import Verdict, of_refusal

_WRITERS = {
    "run, new": (RUN, None),
    "run, half": (RUN, "half"),
    "run, finished": (RUN, "finished"),
    "search": (["search", *RUN[1:-2], "--max-drop", "99", "--runs", "1", "--out", "s"], None),
    "report": (["report", "r"], "finished"),
    "analyze": (["analyze", "r"], "finished"),
    "compare folders": (["compare", "r", "--out", "c"], "finished"),
    "compare": (["compare", *RUN[1:-2], "--methods", "[magnitude]", "--out", "c"], None),
    "evaluate": (["evaluate", "r", "--json"], "finished"),
    "plan": (["plan", *RUN[1:]], None),
}


def cases(ground):
    """Return cases for each command on a read-only disk and in a closed folder, for each file."""
    found = []
    for name, (argv, state) in _WRITERS.items():
        found.append(Case(f"{name}, read-only disk", _locked(ground, argv, state, disk.read_only)))
        found.append(Case(f"{name}, closed folder", _locked(ground, argv, state, _Closed)))
    for state in ("finished", "half"):
        for path in _files(getattr(ground, state)):
            names = COMMANDS if state == "finished" else {"again": RUN}
            for command in names:
                check = _unreadable(ground, state, path, command)
                found.append(Case(f"{state}, unreadable {path}, {command}", check))
    return found


def _files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class _Closed:
    """Folders whose mode forbids writing."""

    def __init__(self, folder):
        self._folders = [folder, *(p for p in folder.rglob("*") if p.is_dir())]

    def __enter__(self):
        for folder in self._folders:
            folder.chmod(0o500)

    def __exit__(self, *_):
        for folder in self._folders:
            folder.chmod(0o700)


def _locked(ground, argv, state, lock):
    def check(place):
        inside = place / "inside"
        inside.mkdir()
        if state is not None:
            ground.put(state, inside)
        before = bits(inside)
        with lock(inside):
            ended = call(argv, cwd=inside, fault=without_rights)
        if bits(inside) != before:
            return Verdict("harmed")
        return (
            Verdict("right") if ended.code == 0 else of_refusal(ended, names=("inside", "r/", "c"))
        )

    return check


def _unreadable(ground, state, path, command):
    def check(place):
        ground.put(state, place)
        os.chmod(place / path, 0)
        return result(ground, place, command, path=path, state=state, fault=without_rights)

    return check
