"""Files: written whole or not at all, read only in the form that is expected.

An error of the system, a damaged file and a file of another form end in a `RunError` that names the
file and the way out.
"""

import errno
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError

from spikeprune import limits
from spikeprune.errors import RunError, way_out

_DRAFT = re.compile(r"\..+\.\d+\.tmp|\.tmp\w{6}")  # ours, and that of safetensors
_TOO_DEEP = f"nested deeper than {limits.NESTING} levels"


@contextmanager
def system_errors(doing: str, path: Path | str) -> Iterator[None]:
    """Turn an error of the system, while `doing` (`read` or `write`) a file, into a `RunError`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        reason = os.strerror(number) if number else str(error)
        # The file that the system names may be another than the one that is written.
        named = getattr(error, "filename", None)
        ours = named is None or _DRAFT.fullmatch(Path(str(named)).name)
        way = way_out(number) if number else "it is cut short, damaged or of another kind"
        raise RunError(f"cannot {doing} {path if ours else named}: {reason}; {way}") from error


def _number(error: Exception) -> int | None:
    """Return the system's number of an error; safetensors says it in words."""
    if isinstance(error, OSError):  # safetensors leaves the number out
        return error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else None)
    said = re.search(r"os error (\d+)", str(error))
    return int(said[1]) if said else None


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Yield a new empty file beside `path`; it is removed afterwards if it is still there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with system_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(b"")
            yield draft
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft that takes the place of `path` when the block ends without an exception.

    A crash leaves the old file, whole. The new file has the mode that the umask says.

    Raises:
        RunError: the system refuses to write.
    """
    with _draft(path) as draft:
        mode = draft.stat().st_mode
        yield draft
        draft.chmod(mode)  # safetensors makes files that only their owner can read
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave an empty file
        os.replace(draft, path)


def sweep(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove the drafts that killed writers left in a folder, if they are that many seconds old.

    With 0 nobody else may be writing there.
    """
    now = time.time()
    with suppress(OSError):
        for path in folder.iterdir():
            # Of the future if a clock went back meanwhile.
            if _DRAFT.fullmatch(path.name) and abs(now - path.stat().st_mtime) >= older_than:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a file, see `replacing`."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def create_text(path: Path, text: str) -> None:
    """Write a file unless it exists: then it keeps its inode, which another process may hold."""
    with _draft(path) as draft:
        draft.write_text(text, encoding="utf-8")
        with suppress(OSError):  # the file exists, or the file system has no links
            os.link(draft, path)
        if not path.exists():
            os.replace(draft, path)


def copy_file(source: Path, path: Path) -> None:
    """Copy the content of a file, see `replacing`."""
    with replacing(path) as draft:
        shutil.copyfile(source, draft)


def as_json(value: Any) -> str:
    """Return indented JSON; NaN and infinity, which JSON lacks, become null, and paths text."""
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write `as_json`, see `replacing`."""
    write_text(path, as_json(value))


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises:
        RunError: no such file, a larger one, or the system refuses to read it.
    """
    if not path.exists():
        raise RunError(
            f"expected the file {path}, which does not exist; put it back, or give another folder"
        )
    with system_errors("read", path):
        limits.require_small(path, limit, error=RunError)
        return path.read_bytes()


def read_text(path: Path, *, limit: int = limits.YAML_BYTES) -> str:
    """Return the text of a file, see `read_bytes`; a RunError too if it is not UTF-8."""
    try:
        return read_bytes(path, limit=limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, f"byte {error.start} is not UTF-8 text") from error


def read_json(path: Path, form: Any = Any) -> Any:
    """Read a JSON file and check that its value has the type `form`; see `checked`.

    Raises:
        RunError: no such file, damaged, or another value.
    """
    return decoded(read_bytes(path, limit=limits.JSON_BYTES), form, str(path))


def checked(value: Any, form: Any, where: str) -> Any:
    """Return a value as it came if it has the type `form`; a RunError says where it differs.

    A type may be a TypedDict, whose further keys are kept, with `msgspec.Meta` for ranges.
    """
    try:
        msgspec.convert(value, type=form)
    except msgspec.ValidationError as error:
        raise _damaged(where, str(error)) from error
    return value


def decoded(content: bytes, form: Any, where: str) -> Any:
    """Return the value of a JSON text, see `checked`; a RunError if it is none."""
    try:
        value = msgspec.json.decode(content)
    except RecursionError as error:
        raise _damaged(where, _TOO_DEEP) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(where, str(error)) from error
    if _is_deeper(value, limits.NESTING):
        raise _damaged(where, _TOO_DEEP)
    return checked(value, form, where)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a JSON value has more levels of mappings and lists than `levels`."""
    level = [value]
    for _ in range(levels + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return False
        level = [v for one in level for v in (one.values() if isinstance(one, dict) else one)]
    return True


def _damaged(where: Path | str, how: str) -> RunError:
    return RunError(
        f"{where} is damaged or of another kind: {how}; put the right file back, or make it again"
    )


def as_line(row: Mapping[str, Any]) -> str:
    """Return a row of JSON lines."""
    return json.dumps(_plain(row), allow_nan=False) + "\n"


def append_line(path: Path, line: str) -> None:
    """Append a line of text to a file; a crash may cut it off, see `read_rows`."""
    with system_errors("write", path), path.open("a", encoding="utf-8") as file:
        file.write(line)


def read_rows(path: Path, form: Any = dict[str, Any]) -> list[Any]:
    """Return the rows of JSON lines, none without a file, and not a last line that a crash cut.

    Raises:
        RunError: a line is damaged, or is not of the type `form`.
    """
    if not path.exists():
        return []
    lines = read_bytes(path, limit=limits.ROWS_BYTES).split(b"\n")[:-1]
    return [decoded(line, form, f"line {n} of {path}") for n, line in enumerate(lines, start=1)]
