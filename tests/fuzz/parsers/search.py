"""Look for files that a parser fails on, guided by coverage, and keep a small corpus of them.

    pip install atheris            # 3.0, Apache-2.0; for this search alone
    python -m tests.fuzz.parsers.search idx recordings --seconds 600

Each way of failing is reported once, with the file that does it under `--out`; the search goes on.
"""

import argparse
import hashlib
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import atheris

MODULES = [
    "spikeprune.files",
    "spikeprune.manifest",
    "spikeprune.data.formats",
    "spikeprune.choices",
]
MODULES += ["spikeprune.inference.saved_net", "spikeprune.lab.report", "spikeprune.lab.settings"]
MODULES += ["spikeprune.training.checkpoint", "spikeprune.training.weights_file", "spikeprune.zoo"]
MODULES += ["spikeprune.wiring.cut_plan", "spikeprune.science.masks", "yaml", "json", "gzip"]
with atheris.instrument_imports(include=MODULES):
    from tests.fuzz.parsers.targets import TARGETS, read

    from spikeprune.errors import SpikePruneError

CORPUS = Path(__file__).with_name("corpus")
MOST, LARGEST = 30, 2000  # files of a parser, and bytes of one
MEMORY = 6 * 2**30  # that a parser may ask for
SLOW = 1.0  # seconds


def failure(name, content, folder):
    """Return how a parser fails on a content, or ''."""
    started = time.process_time()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        read(name, content, folder)
    except SpikePruneError:
        pass
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "spikeprune" in f.filename] or frames
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} at {where}"
    return "slow" if time.process_time() - started > SLOW else ""


def search(name, out, seconds):
    """Search in this process, which ends with the search."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    found, folder = set(), Path(tempfile.mkdtemp(prefix="fuzz-")) / "run"
    inputs, known = out / "inputs", CORPUS / name
    for place in (inputs, known):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (inputs / f"seed{number}").write_bytes(seed)

    def one(content):
        how = failure(name, content, folder)
        if how and how not in found:
            found.add(how)
            digest = hashlib.sha256(content).hexdigest()[:12]
            (out / f"found-{digest}").write_bytes(content)
            print(f"FOUND {name}: {how}: {out / f'found-{digest}'}", flush=True)

    flags = [f"-max_total_time={seconds}", f"-max_len={2 * LARGEST}", "-timeout=60"]
    flags += ["-rss_limit_mb=0", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *flags, str(inputs), str(known)], one)
    atheris.Fuzz()


def keep(name, out):
    """Make the corpus of a parser anew: the smallest files that reach the same lines, and finds."""
    known = CORPUS / name
    files = [*(out / "inputs").iterdir(), *known.iterdir(), *out.glob("found-*")]
    lines = {file: reached(name, file) for file in files if file.stat().st_size <= LARGEST}
    seeds = [file for file in lines if file.name.startswith(("seed", "found-"))]
    kept, seen = [], set()
    for file in [*seeds, *sorted(lines, key=lambda file: (file.stat().st_size, file.name))]:
        if len(kept) < MOST and file not in kept and (file in seeds or lines[file] - seen):
            kept.append(file)
            seen |= lines[file]
    contents = {file.read_bytes() for file in kept}
    shutil.rmtree(known)
    known.mkdir(parents=True)
    for content in contents:
        (known / hashlib.sha256(content).hexdigest()[:12]).write_bytes(content)
    print(f"{name}: {len(contents)} files kept of {len(files)}", flush=True)


def reached(name, file):
    """Return the lines of the package that a parser reaches with a file."""
    lines = set()

    def trace(frame, event, _):
        if "spikeprune" not in frame.f_code.co_filename:
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    sys.settrace(trace)
    try:
        failure(name, file.read_bytes(), folder / "run")
    finally:
        sys.settrace(None)
        shutil.rmtree(folder)
    return frozenset(lines)


def main():
    """Search for each parser in a process of its own, which ends with the search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*TARGETS], metavar="name")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    arguments = parser.parse_args()
    for name in arguments.names:
        out = arguments.out / name
        child = os.fork()
        if not child:
            search(name, out, arguments.seconds)
        os.waitpid(child, 0)
        keep(name, out)


if __name__ == "__main__":
    main()
