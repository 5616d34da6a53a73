"""What a run folder allows: to begin, to go on, to begin again, or neither."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spikeprune.errors import RunError
from spikeprune.files import read_json, read_rows, write_json
from spikeprune.lab.run.identity.identity import Change, Identity, changes, conditions
from spikeprune.lab.run_folder import DenseFolder, RunFolder, dense_folder

UNKNOWN = (
    "the run was begun without a record of its identity (by spikeprune 0.1.0, or identity.json was "
    "deleted): whether code, weights or data have changed since then could not be compared"
)
_SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """Content of `identity.json`."""

    identity: Identity
    dense: str = ""  # name of the shared folder in which the dense net is trained
    conditions: Sequence[Mapping[str, Any]] = ()  # of every process that went on, see `conditions`
    notes: tuple[str, ...] = ()  # what a reader of the result should know

    def write(self, folder: DenseFolder) -> None:
        """Write the record to a folder."""
        plain = {**asdict(self), **self.identity.to_dict(), "schema": _SCHEMA}
        del plain["identity"]
        write_json(folder.identity, plain)

    @classmethod
    def read(cls, folder: DenseFolder) -> "Record | None":
        """Read the record of a folder; None if it has none.

        Raises:
            RunError: the file is damaged, or of a later version.
        """
        if not folder.identity.is_file():
            return None
        plain = read_json(folder.identity)
        try:
            if plain["schema"] != _SCHEMA:
                raise ValueError(f"schema {plain['schema']}")
            if not plain["conditions"]:
                raise ValueError("no conditions")
            identity = Identity.from_dict(plain)
            return cls(identity, plain["dense"], plain["conditions"], tuple(plain["notes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{folder.identity} cannot be read ({error!r}); delete it to go on without "
                "comparing code, weights and data"
            ) from error


@dataclass(frozen=True)
class Standing:
    """How a run stands in its folder."""

    record: Record
    again: bool = False  # whether the run's own states of another identity are thrown away
    dense_again: bool = False  # whether its copy of the dense net is, too
    messages: list[str] = field(default_factory=list)


def standing(folder: RunFolder, identity: Identity, *, name: str, old_name: str) -> Standing:
    """Return how an unfinished run goes on in its folder; writes nothing.

    `name` is that of the shared dense net's folder, `old_name` that of version 0.1.0. Changes are
    taken over as long as nothing that would be lost was trained.

    Raises:
        RunError: code, weights or data have changed since the run began.
    """
    there, now = Record.read(folder), [conditions()]
    new = Record(identity, name, now)
    if there is None:
        return _without_record(folder, new, old_name)
    found = changes(there.identity, identity)
    if not found:
        return _going_on(folder, there, now)
    if _was_trained(folder, there, found):
        raise RunError(_refusal(folder, found))
    words = "; ".join(change.words for change in found)
    again = [f"{words}. Nothing was trained in this folder yet, so the run begins again"]
    dense_again = any(change.of_dense for change in found)
    return Standing(new, again=True, dense_again=dense_again, messages=again)


def settle(folder: RunFolder, stands: Standing) -> None:
    """Write the record of a run; throw away what belongs to another identity."""
    if stands.dense_again:
        shutil.rmtree(folder.dense.path, ignore_errors=True)
    if stands.again:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        folder.history.unlink(missing_ok=True)
    if Record.read(folder) != stands.record:
        stands.record.write(folder)


def refuse_stale(folder: RunFolder, identity: Identity) -> None:
    """Refuse to report a finished run whose source, weights or data have changed since.

    What cannot be found any more, such as a deleted file of weights, is not compared; neither is
    the code of this package.
    """
    there = Record.read(folder)
    if there is None:
        return
    known = replace(
        there.identity,
        code=identity.code,
        source=_kept(there.identity.source, identity.source),
        extensions=_kept(there.identity.extensions, identity.extensions),
        weights=_kept(there.identity.weights, identity.weights),
    )
    now = replace(
        identity,
        source=_kept(identity.source, known.source),
        extensions=_kept(identity.extensions, known.extensions),
        weights=_kept(identity.weights, known.weights),
    )
    found = changes(known, now)
    if found:
        raise RunError(
            f"{folder.path} holds a finished run, and since then {_words(found)}; give another "
            "--out for a run with what is there now, or restore what the run was made with; "
            f"`spikeprune report {folder.path}` shows the old result"
        )


def _kept(digests: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if name in names}


def notes_of(folder: RunFolder) -> list[str]:
    """Return what the result of a run should say about its identity."""
    record, dense = Record.read(folder), Record.read(folder.dense)
    if record is None:
        return []
    notes = [*record.notes, *_mixed("the run", record.conditions)]
    if dense is not None:
        notes += _mixed("the training of the dense net", dense.conditions)
        if dense.conditions[-1]["threads"] != record.conditions[-1]["threads"]:
            threads = (one.conditions[-1]["threads"] for one in (dense, record))
            notes.append("threads: {} for the dense net, {} for the pruned one".format(*threads))
    return notes


def went_on(record: Record | None, new: Record) -> Record:
    """Return the record of a dense net whose training goes on."""
    if record is None or record.conditions[-1] == new.conditions[-1]:
        return record or new
    return replace(record, conditions=[*record.conditions, *new.conditions])


def _without_record(folder: RunFolder, new: Record, old_name: str) -> Standing:
    """Return the standing of a new run, or of one by version 0.1.0."""
    copied, old = folder.dense.metrics.is_file(), dense_folder(folder, old_name)
    began = [folder.dense.path, folder.checkpoints, folder.history]
    if not folder.config.is_file() or not (old.config.is_file() or any(p.exists() for p in began)):
        return Standing(new)
    if old.config.is_file() and not copied:
        new = replace(new, dense=old_name)
    return Standing(replace(new, notes=(UNKNOWN,)), messages=[UNKNOWN])


def _going_on(folder: RunFolder, there: Record, now: list[dict[str, Any]]) -> Standing:
    if there.conditions[-1] == now[0]:
        return Standing(there)
    if not _epochs(folder):
        return Standing(replace(there, conditions=now))
    record = replace(there, conditions=[*there.conditions, *now])
    return Standing(record, messages=_mixed("the run", record.conditions))


def _mixed(what: str, seen: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a note if processes under different conditions worked on one result."""
    if len(seen) < 2:
        return []
    words = [
        f"{name} {', then '.join(str(one.get(name)) for one in seen)}"
        for name in seen[0]
        if len({str(one.get(name)) for one in seen}) > 1
    ]
    return [
        f"{what} went on under other conditions ({'; '.join(words)}): the result is not bit for "
        "bit that of an uninterrupted run"
    ]


def _epochs(folder: DenseFolder) -> int:
    return sum(row.get("kind") == "epoch" for row in read_rows(folder.history))


def _was_trained(folder: RunFolder, there: Record, found: Sequence[Change]) -> bool:
    """Return whether epochs would be lost if the run began again."""
    if _epochs(folder):
        return True
    if not any(change.of_dense for change in found):
        return False
    shared = dense_folder(folder, there.dense)
    if shared.metrics.is_file():  # it stays, for runs with the old identity
        return False
    return bool(_epochs(folder.dense) or _epochs(shared))


def _refusal(folder: RunFolder, found: Sequence[Change]) -> str:
    held = [p for p in (folder.dense.path, folder.checkpoints, folder.history) if p.exists()]
    names = ", ".join(path.name for path in held)
    there = f"; {names} in it belong{'s' * (len(held) == 1)} to what was there before" * bool(held)
    return (
        f"{folder.path} holds a half-finished run, and since it began {_words(found)}{there}. "
        "Restore that to go on with the run; give another --out, or delete the folder, to begin "
        "again with what is there now"
    )


def _words(found: Sequence[Change]) -> str:
    return "; ".join(change.words for change in found)
