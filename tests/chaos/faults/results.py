"""What each command says of a run folder, so that two folders can be compared through it."""

import hashlib
import json

from tests.chaos.child import call, forked
from tests.chaos.tiny import RUN, strewn, without_times
from tests.chaos.verdict import Verdict, of_refusal


def _load():
    from spikeprune import load

    net = load("r")
    state = {name: value.tolist() for name, value in net.net.state_dict().items()}
    print(json.dumps([state, net.time_steps, net.layout, net.classes, net.mean, net.std]))
    return 0


def _load_masks():
    from spikeprune.toolbox import load_masks

    print(json.dumps({name: value.tolist() for name, value in load_masks("r").items()}))
    return 0


def _ours(function):
    """As the command line does: an error of ours is one message."""

    def work():
        import sys

        from spikeprune.errors import SpikePruneError

        try:
            return function()
        except SpikePruneError as error:
            print(f"spikeprune: {type(error).__name__}: {error}", file=sys.stderr)
            return 1

    return work


COMMANDS = {
    "again": RUN,
    "report": ["report", "r"],
    "evaluate": ["evaluate", "r", "--json"],
    "analyze": ["analyze", "r", "--json"],
    "compare": ["compare", "r", "--out", "cmp"],
    "load": _ours(_load),
    "load_masks": _ours(_load_masks),
}


def run(command, place, fault=None):
    """Run a command of this table."""
    work = COMMANDS[command]
    if callable(work):
        return forked(work, cwd=place, fault=fault)
    return call(work, cwd=place, fault=fault)


def said(command, place, ended):
    """Return what a command that ended with success found, without times."""
    if command in ("evaluate", "analyze", "load", "load_masks"):
        return without_times(json.loads(ended.out))
    if command == "compare":
        cells = (place / "cmp" / "cells.json").read_text().replace(str(place), "")
        return without_times(json.loads(cells)), (place / "cmp" / "table.csv").read_text()
    page = (place / "r" / "report.html").read_text()
    return hashlib.sha256(page.encode()).hexdigest()


def reference(ground, command):
    """Return what a command finds in the undamaged folder; run once."""
    key = ("said", command)
    if key not in ground.made:
        place = ground.place(f"said_{command}", "finished")
        ended = run(command, place)
        assert ended.code == 0, ended.text
        ground.made[key] = said(command, place, ended)
    return ground.made[key]


def result(ground, place, command, *, path, state="finished", fault=None):
    """Run a command in a damaged folder and judge it: right, or refused by the file's name."""
    ended = run(command, place, fault)
    if ended.code == 0 and state == "half":
        return ground.same(place, Verdict("right"))
    if ended.code == 0 and command == "again":
        return ground.same(place, Verdict("right"))
    if ended.code == 0:
        try:
            same = said(command, place, ended) == reference(ground, command)
        except ValueError as error:
            return Verdict("wrong", f"success, but its output cannot be read: {error}")
        if not same:
            return Verdict("wrong", f"success with another result: {ended.out[-100:]}")
        return Verdict("strewn", ", ".join(strewn(place))) if strewn(place) else Verdict("right")
    return of_refusal(ended, names=_names(path))


def _names(path):
    """Return by which names a message may call a file: a file of a folder also by that folder."""
    parts = path.split("/")
    return tuple("/".join(parts[n:]) for n in range(1, len(parts)))
