"""Any recipe runs or is refused by a `SpikePruneError`: nothing else ends it, and soon.

`SPIKEPRUNE_RECIPES=1000 pytest tests/lab/run/test_any_recipe.py` draws so many recipes, and half as
many extreme ones.
"""

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COUNT = int(os.environ.get("SPIKEPRUNE_RECIPES", "30"))
GOOD = {"planned", "ran", "refused", "lacking"}  # the last: the system refuses, in our words


@pytest.mark.parametrize(("kind", "count"), [("usual", COUNT), ("extreme", COUNT // 2)])
def test_a_recipe_runs_or_is_refused(kind, count):
    command = [sys.executable, HERE / "any_recipe.py", kind, "0", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    bad = [row for row in rows if row[1] not in GOOD]
    assert not bad, "\n\n".join(map(str, bad))
    assert [row[0] for row in rows] == list(range(count))
    found = Counter(row[1] for row in rows)
    assert found["refused"] > count / 20
    if kind == "usual" or count > 100:  # few extreme ones can work
        assert found["planned"] + found["ran"] > count / 40


def test_every_field_of_a_run_is_drawn():
    draws = runpy.run_path(str(HERE / "recipe_draws.py"))
    drawn = {*draws["usual_values"](), "data", "out"}
    assert drawn == set(draws["leaves"](draws["RunConfig"]))
