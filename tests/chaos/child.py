"""Call the command line in a forked process, under a fault, and say how the process ended."""

import os
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass

FOREIGN = 70
"""Exit code of an exception that reached the top: the user would see a traceback."""
LONGEST = 300


@dataclass(frozen=True)
class Ended:
    """The end of a call: its exit code (negative for a signal) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self):
        """What the user would see."""
        return self.out + self.err

    @property
    def messages(self):
        """The messages of the command line on standard error."""
        return [line for line in self.err.splitlines() if line.startswith("spikeprune: ")]


def call(argv, *, cwd, fault=None):
    """Run `spikeprune ARGV` in a forked process; `fault()` is called in it before."""
    from spikeprune.cli import main

    return forked(lambda: main(argv), cwd=cwd, fault=fault)


def forked(work, *, cwd, fault=None):
    """Run `work()`, which returns an exit code, in a forked process."""
    process = start(work, cwd=cwd, fault=fault)
    return process.wait()


class start:
    """A forked process that runs `work()`; `wait` returns its end."""

    def __init__(self, work, *, cwd, fault=None):
        self._streams = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_child(work, cwd, fault)

    def _be_child(self, work, cwd, fault):
        code = FOREIGN
        try:
            for stream, number in zip(self._streams, (1, 2), strict=True):
                os.dup2(stream.fileno(), number)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(LONGEST)
            os.chdir(cwd)
            if fault is not None:
                fault()
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(code)

    def wait(self):
        """Wait for the end of the process."""
        _, status = os.waitpid(self.pid, 0)
        texts = []
        for stream in self._streams:
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
            stream.close()
        return Ended(os.waitstatus_to_exitcode(status), *texts)


def without_rights():
    """Give up this process's right to pass over the modes of files, which root has."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    nothing = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low and high words
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")
