"""Small disks that fill up or can only be read: file systems in memory."""

import os
import subprocess
from contextlib import contextmanager, suppress

_BALLAST = "ballast"


def _mount(*args):
    return subprocess.run(["mount", *args], capture_output=True, check=False).returncode == 0


def can_mount(folder):
    """Whether this process may mount; `unshare -rm` gives that to everybody."""
    with suppress(OSError), small_disk(folder, size="1m"):
        return True
    return False


@contextmanager
def small_disk(folder, *, size="24m"):
    """Mount an empty file system of this size at a folder while active."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "chaos", str(folder)):
        raise OSError("this process may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)


def fill(folder):
    """Return a fault that fills the disk of a folder to the last byte."""

    def fault():
        file = os.open(f"{folder}/{_BALLAST}", os.O_CREAT | os.O_WRONLY)
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    os.write(file, b"x" * size)
        os.close(file)

    return fault


def make_space(folder):
    """Undo `fill`."""
    (folder / _BALLAST).unlink(missing_ok=True)


@contextmanager
def read_only(folder):
    """Let nobody write below a folder while active."""
    if not (
        _mount("--bind", str(folder), str(folder)) and _mount("-o", "remount,ro,bind", str(folder))
    ):
        raise OSError("this process may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)
