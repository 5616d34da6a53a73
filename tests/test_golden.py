"""What a change of structure must not move: files, keys, the dense nets' names, resuming, masks.

`python tests/test_golden.py` records `tests/golden/` anew, in about a minute. Do so only where a
change of these is meant, and say in the changelog what moved.
"""

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open

GOLDEN = Path(__file__).parent / "golden"
HALTED = GOLDEN / "halted"

# With these every processor of x86-64 computes by the same instructions in the same order. The
# number of threads counts, too: a sum over two of them is rounded otherwise.
SAME_BITS = {
    **{"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    **{"MKL_CBWR": "COMPATIBLE", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
}
SMOKE = [
    *("run", "--recipe", "smoke", "--model_args.widths", "[8, 16, 16]", "--limit", "320"),
    *("--epochs.prune", "3", "--epochs.finetune", "1", "--every", "5"),
    *("--device", "cpu", "--precision", "fp32", "--compile", "off", "--threads", "1"),
]
RUNS = {
    "weights": [],
    "synops": ["--budget", "synops"],
    "channels": ["--granularity", "channel", "--sparsity", "0.5"],
}
RECORD_OF = {name: name for name in RUNS} | {"halted": "weights"}
"""Which record a finished folder must equal: the resumed run that of the uninterrupted one."""

KEYED = {
    "defaults": ({}, {}),
    "compiled, two processes": ({}, {"compiled": True, "processes": 2}),
    "a checkpoint, data elsewhere": ({"weights": "net.bin", "data_root": "/data"}, {}),
}
"""By name: what is configured, and what else the key of a dense net is told."""

# Which modules are cut, and whether such a channel exists, hangs on the masks.
BY_MASKS = ("plan.json: cut.", "metrics.json: cut.kept_though_inputs_dead[].")
# The checkpoint holds the first epoch; one more event has come, and three are still to come.
ROWS_AT_HALT = ["event", "event", "epoch", "event"]

# Each line as `python -m spikeprune` takes it, in one process: torch is imported once.
_DRIVER = """
import json, runpy, sys
for line in json.loads(sys.argv.pop()):
    sys.argv[1:] = line
    try:
        runpy.run_module("spikeprune", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            sys.exit(f"{line} ended with {end.code}")
"""


def spikeprune(lines, folder):
    """Run command lines in `folder`, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, json.dumps(lines)],
        **{"cwd": folder, "env": os.environ | SAME_BITS, "text": True, "check": False},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )
    assert done.returncode == 0, done.stdout


def command(name):
    """Return the command line of a run; the halted one was told the same as `weights`."""
    return [*SMOKE, *RUNS[RECORD_OF[name]], "--out", name]


# -- what is read from finished folders, with no code of the package ------------------------------


def files(folder):
    """Return the relative names of all files, without what TensorBoard makes of time and host."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(re.sub(r"(events\.out\.tfevents)\..*", r"\1.*", name) for name in found)


def dense_files(base):
    """Return the relative names of the files of the one dense net that all runs share.

    The name of its folder is a hash with that of the package's source, which every change moves.
    """
    (folder,) = (base / ".dense").iterdir()
    return files(folder)


def paths(value, prefix=""):
    """Yield the dotted paths of all leaves; `[]` stands for every element of a list."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        yield f"{prefix}[]"
        for inner in value:
            if isinstance(inner, dict):
                yield from paths(inner, f"{prefix}[]")
    else:
        yield prefix


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def keys(folder):
    """Return `file: path` for every key of the JSON and YAML files and every column of the rows."""
    found = set()
    for path in (p for p in folder.rglob("*") if p.suffix in (".json", ".yaml", ".jsonl")):
        name, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            for row in rows(path):
                found |= {f"{name} {row['kind']} {row['stage']}: {key}" for key in paths(row)}
        else:
            read = json.loads if path.suffix == ".json" else yaml.safe_load
            found |= {f"{name}: {key}" for key in paths(read(text))}
    return sorted(found)


def masks(folder):
    """Return, by parameter, how many live, of how many, and a hash of name, shape and bits."""
    found = {}
    with safe_open(folder / "masks.safetensors", framework="np") as file:
        for name, shape in sorted(json.loads(file.metadata()["shapes"]).items()):
            packed = file.get_tensor(name)
            content = f"{name} {shape} ".encode() + packed.tobytes()
            found[name] = {
                "live": int(np.unpackbits(packed).sum()),
                "of": int(np.prod(shape)),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
    return found


def dense_keys(folder):
    """Return the keys of `KEYED`. No hash of the code enters them, so none is held constant."""
    from spikeprune.lab.run.dense_net import dense_key
    from spikeprune.lab.settings.config import RunConfig

    checkpoint = folder / "net.bin"
    checkpoint.write_bytes(b"the content enters, the name does not")
    found = {}
    for name, (values, told) in KEYED.items():
        values = values | ({"weights": str(checkpoint)} if "weights" in values else {})
        config = {"data": "digits", "model": "vgg-small", "sparsity": 0.8, "precision": "fp32"}
        found[name] = dense_key(RunConfig.from_dict(config | values), **told)
    return found


# -- what is compared -----------------------------------------------------------------------------


def torch_release():
    return version("torch").partition("+")[0]


def recorded(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def other_bits():
    """Return why this torch or machine may compute other bits than the record; empty if not."""
    there = recorded("common")["torch"]
    if there != torch_release():
        return f"the masks were recorded with torch {there}, this is {torch_release()}"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the masks were recorded on x86-64, this is {platform.machine()}"
    return ""


def comparable(found):
    """Leave out the keys that hang on what this machine has not."""
    left_out = BY_MASKS if other_bits() else ()
    if importlib.util.find_spec("numba") is None:
        left_out += ("metrics.json: event_driven",)
    return {key for key in found if not key.startswith(left_out or "\0")}


def fail_with(lines):
    if lines:
        told = "differs from the record (where that is meant: python tests/test_golden.py):"
        pytest.fail("\n".join([told, *lines]), pytrace=False)


def assert_same_names(expected, found):
    expected, found = set(expected), set(found)
    lines = [f"  gone: {name}" for name in sorted(expected - found)]
    lines += [f"  new:  {name}" for name in sorted(found - expected)]
    fail_with(lines)


def assert_same_values(expected, found):
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        there, here = expected.get(name, "absent"), found.get(name, "absent")
        if there != here:
            lines += [f"  {name}", f"    recorded: {there}", f"    now:      {here}"]
    fail_with(lines)


def without_0_1_0(name, found):
    """Leave out what the dense net of the halted run has not: 0.1.0, which trained it, wrote none.

    The halted run is a folder of version 0.1.0 and stays one.
    """
    lacking = ("dense/identity.json", "dense/manifest.json", "manifest.json: files.dense/identity")
    lacking += tuple(
        f"{path}{key}"
        for path in ("dense/metrics.json: metrics.", "metrics.json: dense.")
        for key in ("silent_neurons", "layers[].silent_neurons", "validation_synops_per_sample")
    )
    return [one for one in found if name != "halted" or not one.startswith(lacking)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the three runs, the halted run that went on, and their dense net."""
    base = tmp_path_factory.mktemp("golden")
    shutil.copytree(HALTED, base / "halted")
    spikeprune([command(name) for name in RECORD_OF], base)
    return base


@pytest.mark.parametrize("name", RECORD_OF)
def test_a_finished_run_leaves_the_recorded_files(finished, name):
    assert_same_names(
        without_0_1_0(name, recorded(RECORD_OF[name])["files"]), files(finished / name)
    )


@pytest.mark.parametrize("name", RECORD_OF)
def test_the_keys_and_columns_of_a_finished_run_are_those_recorded(finished, name):
    expected = set(without_0_1_0(name, comparable(recorded(RECORD_OF[name])["keys"])))
    found = comparable(keys(finished / name))
    options = {key for key in found if key.startswith("config.yaml: ")}
    # A later version may have more options; every recorded one must stay.
    assert_same_names(expected, found - (options - expected))


@pytest.mark.parametrize("name", RECORD_OF)
def test_the_masks_are_the_recorded_ones_bit_for_bit(finished, name):
    if other_bits():
        pytest.skip(other_bits())
    assert_same_values(recorded(RECORD_OF[name])["masks"], masks(finished / name))


def test_all_runs_share_one_dense_net_in_the_recorded_folder(finished):
    assert_same_names(recorded("common")["dense_files"], dense_files(finished))


def test_the_keys_of_dense_nets_are_those_recorded(tmp_path):
    assert_same_values(recorded("common")["dense_keys"], dense_keys(tmp_path))


def test_the_halted_run_went_on_from_its_checkpoint(finished):
    """The first epoch has the very seconds that it took when it was recorded: none ran it again."""
    before, after = rows(HALTED / "history.jsonl"), rows(finished / "halted" / "history.jsonl")
    whole = next(n for n, row in enumerate(before) if row["kind"] == "epoch") + 1
    assert before[:whole] == after[:whole]
    assert len(after) > len(before)


# -- recording ------------------------------------------------------------------------------------


def write(name, content):
    path = GOLDEN / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print("wrote", path)


def halt(base):
    """Start the run `weights` under another name, kill it in its second epoch, keep the folder."""
    history = base / "halted" / "history.jsonl"
    line = [sys.executable, "-m", "spikeprune", *command("halted")]
    quiet = {"env": os.environ | SAME_BITS, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(line, cwd=base, **quiet) as process:
        while process.poll() is None:
            written = history.read_bytes().count(b"\n") if history.is_file() else 0
            if written >= len(ROWS_AT_HALT):
                process.kill()
            time.sleep(0.001)
    kinds = [row["kind"] for row in rows(history)]
    if kinds != ROWS_AT_HALT:
        raise RuntimeError(f"expected to kill the run at {ROWS_AT_HALT}, got {kinds}; record again")
    for path in (base / "halted").rglob("events.out.tfevents.*"):  # the name holds host and time
        path.rename(path.with_name("events.out.tfevents.0.host.0.0"))
    shutil.rmtree(HALTED, ignore_errors=True)
    shutil.copytree(base / "halted", HALTED)
    print("wrote", HALTED)


def record():
    """Write `tests/golden/` from what the package does now."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        spikeprune([command(name) for name in RUNS], base)
        halt(base)
        spikeprune([command("halted")], base)
        if masks(base / "halted") != masks(base / "weights"):
            raise RuntimeError("the halted run went on to other masks than the uninterrupted one")
        for name, found in ((name, base / name) for name in RUNS):
            write(name, {"masks": masks(found), "files": files(found), "keys": keys(found)})
        common = {"torch": torch_release(), "dense_files": dense_files(base)}
        write("common", common | {"dense_keys": dense_keys(base)})


if __name__ == "__main__":
    record()
