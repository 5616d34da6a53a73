"""Files read and written whole: text, JSON and JSON lines."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spikeprune.errors import RunError


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file whole or not at all: a crash leaves the old content.

    Without `replace` a file that is there stays, the very file: another process may hold it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if not replace:
            with suppress(OSError):  # it is there, or this file system has no links
                os.link(draft, path)
        if replace or not path.exists():
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: non-finite numbers become null, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinity become null, which JSON has not."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"expected the file {path}, which does not exist") from error
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}); remove it and run again") from error


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line to a file, behind its last whole line: what a crash tore is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(_plain(row), allow_nan=False) + "\n"
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines; a last line without its end was never written.

    Raises:
        RunError: A line in the middle is not JSON.
    """
    if not path.is_file():
        return []
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"line {number} of {path} is not valid JSON ({error})") from error
    return rows


def keep_rows(path: Path, count: int) -> None:
    """Keep the first `count` rows: a run that goes on from a checkpoint repeats the others."""
    if path.is_file():
        rows = read_rows(path)[:count]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
