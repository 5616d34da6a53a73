"""Settings of all tests: no timed assertion, and the same examples in every CI run."""

import json
import multiprocessing
import os
import runpy
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from spikeprune.lab.compare.jobs import run_local
from spikeprune.measuring import latency

settings.register_profile("spikeprune", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("spikeprune")

_CONTEXT = multiprocessing.get_context("forkserver")  # imports torch once for all processes
_CONTEXT.set_forkserver_preload(
    ["spikeprune.cli", "spikeprune.lab.run.run", "spikeprune.zoo", "torch._dynamo", "torch_pruning"]
)
_LONGEST = 90  # seconds; a group that hangs fails instead


def pytest_collection_modifyitems(items):
    """Mark the slow tests, which `make quick` leaves out; see `slow_tests.py`."""
    listed = set(Path(__file__).with_name("slow_tests.txt").read_text(encoding="utf-8").split())
    for item in items:
        function = item.nodeid.partition("[")[0]
        if listed & {function, function.partition("::")[0]}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _latencies_are_quick():
    """Half of the time of a small run is the second in which each latency is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "_ROUNDS", (1, 1))
        quick = "from spikeprune.measuring import latency; latency._ROUNDS = 1, 1; "
        code, found, rest = run_local._WORKER.partition("from spikeprune.lab")
        patch.setattr(run_local, "_WORKER", code + quick + found + rest)
        yield


@pytest.fixture(autouse=True)
def _modules_of_a_test_end_with_it(tmp_path_factory):
    """Several tests write a `mine.py` of their own; the next one must not be given the last."""
    before = set(sys.modules)
    yield
    written = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(written):
            del sys.modules[name]


@pytest.fixture
def run_ranks(tmp_path):
    """Run a file in several processes: `run_ranks(path, 2, case="x")` -> (exit codes, results).

    The file runs as module `__rank__` with the globals `RANK`, `WORLD`, `FOLDER` and `ARGUMENTS`;
    what it leaves in `FOLDER/result<rank>.json` is returned by rank.
    """

    def run(path, world, **arguments):
        folder = tmp_path / f"ranks{len(list(tmp_path.glob('ranks*')))}"
        folder.mkdir()
        group = []
        for rank in range(world):
            names = {"RANK": rank, "WORLD": world, "FOLDER": folder, "ARGUMENTS": arguments}
            group.append(
                _CONTEXT.Process(target=runpy.run_path, args=(str(path), names, "__rank__"))
            )
        for process in group:
            process.start()
        for process in group:
            process.join(_LONGEST)
        stuck = [rank for rank, process in enumerate(group) if process.is_alive()]
        for process in group:
            process.kill()
            process.join()
        assert not stuck, f"ranks {stuck} hang"
        files = [folder / f"result{rank}.json" for rank in range(world)]
        results = [json.loads(f.read_text()) if f.exists() else None for f in files]
        return [process.exitcode for process in group], results

    return run
