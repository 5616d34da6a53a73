"""Text, JSON and JSON lines on disk: writes that a crash cannot leave half done."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spikeprune import limits
from spikeprune.errors import RunError


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file atomically: a crash leaves the old content.

    Without `replace` an existing file keeps its inode and content: another process may hold it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if not replace:
            with suppress(OSError):  # the file exists, or the file system has no links
                os.link(draft, path)
        if replace or not path.exists():
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _as_json(value: Any) -> Any:
    """Convert a value for JSON: non-finite numbers to None, tuples to lists, paths to text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _as_json(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(_as_json(value), indent=2, allow_nan=False) + "\n")


def read_text(path: Path, limit: int = limits.YAML_BYTES) -> str:
    """Return the text of a file; a RunError if it has more bytes than `limit` or is no UTF-8."""
    limits.require_small(path, limit, error=RunError)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is no text in UTF-8 ({error})") from error


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    try:
        value = json.loads(read_text(path, limits.JSON_BYTES))
    except FileNotFoundError as error:
        raise RunError(f"expected the file {path}, which does not exist") from error
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}); remove it and run again") from error
    if _is_deeper(value, limits.NESTING):
        raise _too_deep(path)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a JSON value has more levels of mappings and lists than `levels`."""
    level = [value]
    for _ in range(levels + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return False
        level = [v for one in level for v in (one.values() if isinstance(one, dict) else one)]
    return True


def _too_deep(path: Path) -> RunError:
    return RunError(f"{path} is nested deeper than {limits.NESTING} levels; it is no file of ours")


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line, after dropping a last line that a crash cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(_as_json(row), allow_nan=False) + "\n"
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of JSON lines, none without a file, and not a last line that a crash cut."""
    if not path.is_file():
        return []
    limits.require_small(path, limits.ROWS_BYTES, error=RunError)
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except RecursionError as error:
            raise _too_deep(path) from error
        except ValueError as error:
            raise RunError(f"line {number} of {path} is not valid JSON ({error})") from error
    return rows


def keep_rows(path: Path, count: int) -> None:
    """Keep the first `count` rows; a run that resumes from a checkpoint writes the others again."""
    if path.is_file():
        rows = read_rows(path)[:count]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
