"""Run every case and print how it ended: `python -m tests.chaos.table [KIND ...] [--each N]`."""

import argparse
import importlib
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

KINDS = ("kills", "full_disk", "no_access", "swapped", "neighbours", "damage")


def _cpu():
    """Return the seconds of CPU that this process and its ended children have used."""
    return sum(os.times()[:4])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument(
        "--each",
        type=int,
        default=1,
        help="run every N-th case, and those that the tests always run",
    )
    parser.add_argument("--only", default="", help="run cases whose name has this text")
    parser.add_argument("--times", action="store_true", help="print the CPU time of each case")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from tests.chaos.ground import Ground, share

    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    ground, counts = Ground(base), {}
    try:
        for kind in options.kinds:
            started = time.monotonic()
            counts[kind] = Counter()
            module = importlib.import_module(f"tests.chaos.faults.{kind}")
            cases = [one for one in module.cases(ground) if options.only in one.name]
            for case in share(cases, options.each):
                place = ground.place("place")
                begun = _cpu()
                found = case.check(place)
                if options.times:
                    print(f"{_cpu() - begun:.1f} s {case.name}: {found.kind}", flush=True)
                shutil.rmtree(place)
                counts[kind][found.kind] += 1
                if not found.good or options.only:
                    seen = found.seen.replace(str(base), "…")[:400]
                    print(f"{kind}: {case.name}: {found.kind}: {seen}", flush=True)
            print(f"{kind}: {time.monotonic() - started:.0f} s, {dict(counts[kind])}", flush=True)
    finally:
        shutil.rmtree(base)
    for kind, found in counts.items():
        print(f"{kind:12} {sum(found.values()):5} cases  ", end="")
        print(", ".join(f"{name} {count}" for name, count in found.most_common()))


if __name__ == "__main__":
    main()
