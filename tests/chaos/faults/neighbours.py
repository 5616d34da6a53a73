"""A second writer, a worker that dies, a clock that goes back, a folder that vanishes."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.chaos.child import call, start
from tests.chaos.ground import Case
from tests.chaos.hooks import at_write
from tests.chaos.tiny import GRID, RUN, bits, strewn
from tests.chaos.verdict import Verdict, of_refusal

_DAY = 86_400


def cases(ground):
    """Return the cases of all of these."""
    writes, half = ground.writes(), ground.half
    found = [
        Case("two writers start at once", lambda place: _together(ground, place, RUN)),
        Case("two writers, another seed", lambda place: _together(ground, place, _SEED)),
        Case("a second writer beside one at work", lambda place: _second(ground, place)),
        Case("a clock that goes back between calls", lambda place: _tomorrow(ground, place)),
        Case("a clock that goes back in a run", lambda place: _clock(ground, place)),
        Case("compare is terminated", lambda place: _terminated(place, signal.SIGTERM)),
    ]
    found = [replace(case, always=True) for case in found] + [
        Case("compare is killed", lambda place: _terminated(place, signal.SIGKILL)),
        Case("a worker of compare dies", lambda place: _worker(place, signal.SIGKILL)),
    ]
    for n in range(2, len(writes)):
        for words, change in _CHANGES.items():
            name = f"the folder {words} before {n} {writes[n]}"
            found.append(Case(name, _gone(ground, n, change=change, half=half)))
    return found


_SEED = [*RUN, "--seed", "1"]


def _together(ground, place, other):
    """Two processes: the folder belongs to one of them, the other is told so or waits."""
    from spikeprune.cli import main

    pair = [start(lambda argv=argv: main(argv), cwd=place) for argv in (RUN, other)]
    first, second = (one.wait() for one in pair)
    for ended in (first, second):
        if ended.code != 0:
            told = of_refusal(ended)
            if not told.good:
                return told
    if first.code and second.code:
        return Verdict("stuck", f"neither ran: {first.err}{second.err}")
    if other is not RUN and not first.code and not second.code:
        return Verdict("wrong", "both ended with success in one folder")
    if first.code and other is not RUN:  # the folder is of the other
        return Verdict("right")
    return ground.same(place, Verdict("right"))


def _second(ground, place):
    """While a run is stopped in the middle, the same command and all that read."""
    from spikeprune.cli import main

    n = len(ground.writes()) * 2 // 3
    first = start(lambda: main(RUN), cwd=place, fault=at_write(n, _stop))
    os.waitpid(first.pid, os.WUNTRACED)
    try:
        before, others = bits(place), (RUN, ["report", "r"], ["evaluate", "r"], ["analyze", "r"])
        told = [of_refusal(call(argv, cwd=place)) for argv in others]
        harmed = bits(place) != before
    finally:
        os.kill(first.pid, signal.SIGCONT)
    ended = first.wait()
    bad = [one for one in told if not one.good]
    if bad:
        return bad[0]
    if harmed or ended.code != 0:
        return Verdict("harmed", ended.text[-300:])
    return ground.same(place, Verdict("right"))


def _stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def _tomorrow(ground, place):
    ground.put("half", place)
    later = time.time() + _DAY
    for path in place.rglob("*"):
        os.utime(path, (later, later))
    return ground.goes_on(place)


def _clock(ground, place):
    def back():
        now, calls = time.time, iter(range(10**9))
        time.time = lambda: now() - _DAY * next(calls)

    ended = call(RUN, cwd=place, fault=back)
    return ground.same(place, Verdict("right")) if ended.code == 0 else of_refusal(ended)


def _gone(ground, n, *, change, half):
    """No success may be reported without the files."""

    def check(place):
        ended = call(RUN, cwd=place, fault=at_write(n, lambda: change(half)))
        if ended.code == 0:
            return ground.same(place, Verdict("right"))
        found = of_refusal(ended, names=("r", "r/"))
        return Verdict("strewn", ", ".join(strewn(place))) if strewn(place) else found

    return check


def _vanish(_):
    shutil.rmtree("r", ignore_errors=True)


def _move(_):
    if Path("r").exists():
        os.rename("r", "elsewhere")


def _exchange(half):
    _move(half)
    shutil.copytree(half / "r", "r", ignore=shutil.ignore_patterns(".*.tmp"))


_CHANGES = {"vanishes": _vanish, "is moved away": _move, "is exchanged for a half run": _exchange}


def _worker(place, number):
    """The worker of a comparison dies: its cell is told as failed, and the next call finishes."""
    from spikeprune.cli import main

    driver = start(lambda: main(GRID), cwd=place)
    worker = _until(lambda: _children(driver.pid))
    if worker:
        os.kill(worker[0], number)
    ended = driver.wait()
    found = of_refusal(ended) if ended.code else Verdict("survived", ended.text[-200:])
    if not found.good:
        return found
    ended = call(GRID, cwd=place)
    return found if ended.code == 0 else Verdict("stuck", ended.text[-300:])


def _terminated(place, number):
    """The driver ends: nothing of it goes on, and the next call finishes."""
    from spikeprune.cli import main

    driver = start(lambda: main(GRID), cwd=place)
    _until(lambda: list(place.glob("c/cells/*/config.yaml")))
    family = [*_children(driver.pid)]
    family += [cell for one in family for cell in _children(one)]
    os.kill(driver.pid, number)
    ended = driver.wait()
    if ended.code not in (-number, 128 + number):
        return Verdict("survived", f"{ended.code}: {ended.text[-200:]}")
    if _until(lambda: not any(_alive(one) for one in family), seconds=60) is None:
        for one in family:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        return Verdict("left behind", f"processes {family}")
    ended = call(GRID, cwd=place)
    if ended.code != 0:
        return Verdict("stuck", ended.text[-300:])
    return Verdict("strewn", ", ".join(strewn(place))) if strewn(place) else Verdict("goes on")


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(one) for one in found.stdout.split()]


def _alive(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def _until(condition, seconds=120):
    """Wait until a condition holds and return what it gave; None after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return None
