"""What all cases share: a finished and a half-finished run, their bits, and the list of writes."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.chaos.child import call
from tests.chaos.hooks import at_call, at_write, kill
from tests.chaos.tiny import RUN, bits, strewn, warm
from tests.chaos.verdict import Verdict, of_refusal


@dataclass(frozen=True)
class Case:
    """A case of a kind of fault: `check(place)` runs it in an empty folder and judges its end."""

    name: str
    check: Callable[[Path], Verdict]
    always: bool = False  # whether a share of the cases has it, too


def share(cases, each):
    """Return every n-th case, and those that are always run."""
    return [case for n, case in enumerate(cases) if case.always or n % each == 0]


@dataclass
class Ground:
    """States of runs that cases copy, made once at `base`."""

    base: Path
    made: dict = field(default_factory=dict)

    def __post_init__(self):
        warm(self.base / "warm")

    @cached_property
    def finished(self):
        """The folder around a finished run `r`."""
        return self._made("finished")

    @cached_property
    def half(self):
        """The folder around a run `r` that was killed while it prunes."""
        saved = "rename r/checkpoints/train.safetensors"
        last = max(n for n, name in enumerate(self.writes()) if name == saved)
        return self._made("half", at_write(last, kill()), code=-9)

    def _made(self, name, fault=None, *, code=0):
        folder = self.base / name
        folder.mkdir(parents=True)
        ended = call(RUN, cwd=folder, fault=fault)
        assert ended.code == code, ended.text
        return folder

    @cached_property
    def bits(self):
        """What counts of the files of the finished run."""
        return bits(self.finished / "r")

    def writes(self, argv=RUN, state=None):
        """Return the names of all writes of a command in a state, in order."""
        key = ("writes", tuple(argv), state)
        if key not in self.made:
            place = self.place(f"writes{len(self.made)}", state)
            self.made[key] = at_write.names(argv, place)
        return self.made[key]

    def calls(self, part):
        """Return the number of calls of functions of a part of the package in a whole run."""
        key = ("calls", part)
        if key not in self.made:
            self.made[key] = at_call.count(RUN, self.place(f"calls{len(self.made)}"), part=part)
        return self.made[key]

    def place(self, name, state=None):
        """Return a new folder, a copy of `finished` or `half` if a state is named."""
        place = self.base / name
        if state is None:
            place.mkdir(parents=True)
        else:
            shutil.copytree(getattr(self, state), place)
        return place

    def put(self, state, place):
        """Copy a state into a folder that exists."""
        shutil.copytree(getattr(self, state), place, dirs_exist_ok=True)

    def goes_on(self, place, seen=""):
        """Judge whether the command goes on to the bits of a run that nothing disturbed."""
        ended = call(RUN, cwd=place)
        if ended.code != 0:
            found = of_refusal(ended)
            return Verdict("stuck" if found.good else found.kind, found.seen)
        return self.same(place, Verdict("goes on", seen))

    def same(self, place, verdict):
        """Return `verdict`, or what is wrong with the files of a run that ended with success."""
        found = bits(place / "r")
        if found != self.bits:
            differ = [n for n in self.bits | found if found.get(n) != self.bits.get(n)]
            return Verdict("wrong", f"success, but these differ: {', '.join(differ)}")
        if strewn(place):
            return Verdict("strewn", ", ".join(strewn(place)))
        return verdict
