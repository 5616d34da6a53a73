"""Peak memory of a training step above what lies there before it, in a fresh process each.

`python -m benchmarks.memory CASE WAY` prints the bytes of one; Linux only.
"""

import ctypes
import gc
import subprocess
import sys
from pathlib import Path

from benchmarks.nets import CASES, QUICK, ours, spikingjelly, spikingjelly_bf16
from benchmarks.timing import Row, at_most

WAYS = {
    "fused, bf16, channels_last": ours,
    "SpikingJelly fp32": spikingjelly,
    "SpikingJelly bf16, channels_last": spikingjelly_bf16,
}


def memory_rows(*, quick: bool):
    wanted = {"quick": None} if quick else {"small": at_most(1 / 4, 1 / 6), "vgg16": None}
    for name, goal in wanted.items():
        peaks = {way: _measured(name, way) / 2**20 for way in WAYS}
        (best, best_mb), *rivals = peaks.items()
        what = f"peak memory of a training step, {_case(name)}"
        for number, (rival, rival_mb) in enumerate(rivals):
            aim = None if number else goal
            yield Row(what, best, best_mb, rival, rival_mb, aim, unit="MiB")


def _case(name):
    return QUICK if name == "quick" else CASES[name]


def _measured(case, way):
    command = [sys.executable, "-m", "benchmarks.memory", case, way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def _status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"expected {key} in /proc/self/status, which only Linux has")


def peak_above(step):
    """Return how many bytes `step` needs at its peak above the memory before, after a warm-up."""
    step()
    step()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark to what is there now
    step()
    return max(_status("VmHWM") - before, 1)


if __name__ == "__main__":
    print(peak_above(WAYS[sys.argv[2]](_case(sys.argv[1])).step))
