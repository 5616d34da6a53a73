"""Faults at an exact place: before the n-th write, or at the n-th call of a function.

The n-th write is told by Python's own audit events, so that no code of the package is named or
changed: opened for writing, renamed, linked, made, removed. Only safetensors writes past Python;
its function is replaced by one that tells of the write. A hook stays for good, so it belongs into
a forked process.
"""

import os
import re
import signal
import sys
from pathlib import Path

_PID, _KEY = re.compile(r"\.\d+\.tmp|\.tmp\w{6}"), re.compile(r"\.dense/\w{16}")
_WRITING = os.O_WRONLY | os.O_RDWR
_EVENTS = {"os.rename": 1, "os.link": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0}


def _told(event, args):
    """Return the path that an audit event writes to, or None."""
    if event == "open":
        path, mode, flags = args
        writes = flags & _WRITING if isinstance(flags, int) else set("wax+") & set(mode or "")
        return path if writes and isinstance(path, str | os.PathLike) else None
    return args[_EVENTS[event]] if event in _EVENTS else None


class at_write:
    """Call `do` before the n-th write (from 0) below the working folder, once."""

    def __init__(self, n, do, *, log=None):
        self.n, self.do, self.log, self.seen = n, do, log, 0

    def __call__(self):
        """Arm the hook in this process."""
        self.root = os.getcwd() + os.sep
        sys.addaudithook(self._hook)
        self._tell_of_tensors()

    def _hook(self, event, args):
        if event == "open" or event in _EVENTS:
            path = _told(event, args)
            if path is not None:
                self.told(event.removeprefix("os."), path)

    def told(self, event, path):
        """Count a write; the fault itself may write without being counted."""
        full = os.path.join(os.getcwd(), os.fsdecode(path))
        if not full.startswith(self.root) or self.seen < 0:
            return
        n, self.seen = self.seen, -1
        try:
            if self.log is not None:
                os.write(self.log, f"{event} {full.removeprefix(self.root)}\n".encode())
            if n == self.n:
                self.do()
        finally:
            self.seen = n + 1

    def _tell_of_tensors(self):
        import safetensors.torch

        real = safetensors.torch.serialize_file

        def serialize_file(tensors, filename, **options):
            self.told("save", filename)
            return real(tensors, filename, **options)

        safetensors.torch.serialize_file = serialize_file

    @classmethod
    def names(cls, argv, folder):
        """Return the names of all writes of a command in an empty folder, in order."""
        from tests.chaos.child import call

        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder).with_suffix(".log")
        log = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR)
        ended = call(argv, cwd=folder, fault=cls(-1, None, log=log))
        assert ended.code == 0, ended.text
        os.close(log)
        names = _KEY.sub(".dense/KEY", _PID.sub(".tmp", path.read_text()))
        return names.splitlines()


class at_call:
    """Call `do` at the n-th call (from 0) of a function of files whose path has `part`, once."""

    def __init__(self, n, do, *, part, log=None):
        self.n, self.do, self.part, self.log, self.seen = n, do, part, log, 0

    def __call__(self):
        """Arm the hook in this process's main thread."""
        sys.setprofile(self._hook)

    def _hook(self, frame, event, _):
        if event == "call" and self.part in frame.f_code.co_filename:
            n, self.seen = self.seen, self.seen + 1
            if self.log is not None:
                os.pwrite(self.log, str(self.seen).encode(), 0)
            if n == self.n:
                self.do()

    @classmethod
    def count(cls, argv, folder, *, part):
        """Return the number of such calls of a command in an empty folder."""
        from tests.chaos.child import call

        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder).with_suffix(".count")
        log = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR)
        ended = call(argv, cwd=folder, fault=cls(-1, None, part=part, log=log))
        assert ended.code == 0, ended.text
        os.close(log)
        return int(path.read_text())


def kill(number=signal.SIGKILL):
    """Return a fault that sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)
