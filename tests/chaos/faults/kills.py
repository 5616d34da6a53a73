"""A run that is killed before a write, in the middle of a file, or inside a pruning event."""

import resource
import signal

from tests.chaos.child import call
from tests.chaos.ground import Case
from tests.chaos.hooks import at_call, at_write, kill
from tests.chaos.tiny import RUN
from tests.chaos.verdict import Verdict, of_refusal

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_MOMENTS = 24  # inside pruning events
_ROOM = "/spikeprune/pruning/"


def cases(ground):
    """Return a case for every write and signal, for every file cut short, and within events."""
    found = []
    for n, write in enumerate(ground.writes()):
        found += [_case(ground, f"{s.name} before {n} {write}", at_write, n, s) for s in _SIGNALS]
        if write.startswith(("open", "save")):
            found.append(Case(f"cut short {n} {write}", _cut_short(ground, n)))
    calls = ground.calls(_ROOM)
    for moment in range(_MOMENTS):
        n, number = calls * moment // _MOMENTS, _SIGNALS[moment % len(_SIGNALS)]
        name = f"{number.name} in pruning, call {n} of {calls}"
        found.append(_case(ground, name, at_call, n, number, part=_ROOM))
    return found


def _case(ground, name, hook, n, number, **options):
    def check(place):
        ended = call(RUN, cwd=place, fault=hook(n, kill(number), **options))
        if number == signal.SIGINT:
            told = of_refusal(ended)
            if ended.code != 130 or not told.good:
                return Verdict("interrupt", f"{ended.code}: {ended.err[-300:]}")
        elif ended.code not in (-number, 128 + number):
            return Verdict("survived", f"{ended.code}: {ended.text[-200:]}")
        return ground.goes_on(place)

    return Case(name, check)


def _cut_short(ground, n):
    """The system ends the process in the middle of a file: as a crash, but at an exact byte."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    def check(place):
        call(RUN, cwd=place, fault=at_write(n, limit))
        return ground.goes_on(place)

    return check
