"""A disk that fills up before a write of any command, and the same command once there is space."""

import shutil

from tests.chaos import disk
from tests.chaos.child import call
from tests.chaos.ground import Case
from tests.chaos.hooks import at_write
from tests.chaos.tiny import GRID, RUN, SEARCH, bits, strewn
from tests.chaos.verdict import Verdict, of_refusal

COMMANDS = {
    "run": (RUN, None),
    "report": (["report", "r"], "finished"),
    "analyze": (["analyze", "r"], "finished"),
    "analyze --out": (["analyze", "r", "--out", "a"], "finished"),
    "compare folders": (["compare", "r", "--out", "c"], "finished"),
    "search": (SEARCH, None),
}
"""Commands that write in this process, and the state that they start from."""
READING = {"plan": ["plan", *RUN[1:]], "evaluate": ["evaluate", "r", "--json"]}
"""Commands that need no space."""


def cases(ground):
    """Return a case for every write of every command, and one for a command that needs no space."""
    found, files = [], set()
    for name, (argv, state) in COMMANDS.items():
        for n, write in enumerate(ground.writes(argv, state)):
            event, file = write.split(" ", 1)
            file = file.rpartition("/")[2].removesuffix(".tmp").strip(".")
            if event not in ("remove", "rmdir"):
                first = name == "run" and event in ("open", "save") and file not in files
                files.add(file)
                check = _at(ground, argv, state, n=n)
                found.append(Case(f"{name}, full before {n} {write}", check, always=first))
    found += [Case(f"{n} on a full disk", _reads(ground, argv)) for n, argv in READING.items()]
    found.append(Case("compare, full before its claim", _grid(ground, full_at=0)))
    found.append(Case("compare, full while a worker starts", _grid(ground, full_at=3)))
    return found


def _started(ground, place, state):
    """Return the folder of a small disk's owner with a state on it."""
    if state is not None:
        ground.put(state, place)


def _at(ground, argv, state, *, n):
    reference = _reference(ground, argv, state)

    def check(place):
        with disk.small_disk(place / "disk") as small:
            _started(ground, small, state)
            before = bits(small)
            ended = call(argv, cwd=small, fault=at_write(n, disk.fill(small)))
            found = _judged(small, ended, before)
            disk.make_space(small)
            if not found.good:
                return found
            ended = call(argv, cwd=small)
            if ended.code != 0:
                return Verdict("stuck", ended.text[-300:])
            after = bits(small)
            if after != reference():
                differ = [k for k in after | reference() if after.get(k) != reference().get(k)]
                return Verdict("wrong", f"after space was made these differ: {', '.join(differ)}")
            return Verdict("strewn", ", ".join(strewn(small))) if strewn(small) else found

    return check


def _judged(small, ended, before):
    """Judge a call on a full disk: refused with the reason, nothing harmed, nothing strewn."""
    if ended.code == 0:
        return Verdict("right", "it had the space that it needs")
    found = of_refusal(ended, names=("No space left", "disk is full"))
    harmed = [n for n, content in before.items() if bits(small).get(n) != content]
    if found.good and harmed:
        return Verdict("harmed", ", ".join(harmed))
    if found.good and strewn(small):
        return Verdict("strewn", ", ".join(strewn(small)))
    return found


def _reference(ground, argv, state):
    """Return a function that gives the bits of the command where nothing happened; run once."""
    key = ("result", tuple(argv), state)

    def result():
        if key not in ground.made:
            place = ground.place(f"result{len(ground.made)}", state)
            assert call(argv, cwd=place).code == 0
            ground.made[key] = bits(place)
            shutil.rmtree(place)
        return ground.made[key]

    return result


def _reads(ground, argv):
    def check(place):
        with disk.small_disk(place / "disk") as small:
            ground.put("finished", small)
            disk.fill(small)()
            ended = call(argv, cwd=small)
            return Verdict("right") if ended.code == 0 else of_refusal(ended)

    return check


def _grid(ground, *, full_at):
    """A comparison whose cells run in a worker: full in the driver's n-th write."""

    def check(place):
        with disk.small_disk(place / "disk", size="48m") as small:
            ended = call(GRID, cwd=small, fault=at_write(full_at, disk.fill(small)))
            found = _judged(small, ended, {})
            disk.make_space(small)
            if not found.good:
                return found
            ended = call(GRID, cwd=small)
            return Verdict("goes on") if ended.code == 0 else Verdict("stuck", ended.text[-300:])

    return check
