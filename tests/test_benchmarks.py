"""Benchmarks run; nothing is asserted on time."""

import json
import subprocess
import sys
from pathlib import Path


def test_quick_benchmarks_print_ratios_and_write_json(tmp_path):
    target = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(target)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(target.read_text())["rows"]
    assert len(rows) >= 5
    for row in rows:
        assert row["ours_cost"] > 0
        assert row["ratio"] == row["ours_cost"] / row["against_cost"]
        assert row["against"] in done.stdout
