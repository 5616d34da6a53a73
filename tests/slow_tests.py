"""Write `slow_tests.txt`, the tests that `make quick` leaves out: `make slow` runs this.

It reads pytest's table of durations. A function is slow from `LIMIT` seconds on, all its parameters
together; where a fixture takes that long, so is its whole file. A test that is not listed counts as
fast until the next `make slow`.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

LIST = Path(__file__).with_name("slow_tests.txt")
LIMIT = 0.2
ROW = re.compile(r"([\d.]+)s (call|setup|teardown) +((\S+\.py)::\w+)")


def slow(lines):
    """Return the names of slow functions and files, by lines such as `0.61s call a.py::test_b`."""
    seconds, files = defaultdict(float), set()
    for line in lines:
        if row := ROW.match(line.strip()):
            seconds[row[3]] += float(row[1])
            if row[2] != "call" and float(row[1]) >= LIMIT:
                files.add(row[4])
    functions = {name for name, total in seconds.items() if total >= LIMIT}
    return sorted(files | {name for name in functions if name.partition("::")[0] not in files})


if __name__ == "__main__":
    names = slow(sys.stdin)
    LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"{len(names)} test functions and files are slow")
