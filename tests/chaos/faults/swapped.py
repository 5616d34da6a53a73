"""A folder in place of a file, and a file in place of a folder."""

import shutil

from tests.chaos.faults.results import COMMANDS, result
from tests.chaos.ground import Case


def cases(ground):
    """Return a case for every file and folder of both states, and every command."""
    found = []
    for state in ("half", "finished"):
        folder = getattr(ground, state)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            for command in COMMANDS if state == "finished" else ("again",):
                words = "file in place of" if path.is_dir() else "folder in place of"
                check = _check(ground, state, name, command)
                found.append(Case(f"{state}, {words} {name}, {command}", check))
    return found


def _check(ground, state, name, command):
    def check(place):
        ground.put(state, place)
        path = place / name
        if path.is_dir():
            shutil.rmtree(path)
            path.write_text("not a folder")
        else:
            path.unlink()
            path.mkdir()
            (path / "inside").write_text("somebody's")
        return result(ground, place, command, path=f"./{name}", state=state)

    return check
