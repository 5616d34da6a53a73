"""Judge recipes drawn at random: `any_recipe.py KIND FIRST COUNT` prints how each of them ends.

A line is a JSON list of the number, the ending and its words. The recipes are judged in a process
of its own (`judge KIND FIRST COUNT`), which is replaced when one of them ends it or takes too long.
"""

import json
import os
import random
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import yaml
from recipe_draws import extreme, usual

from spikeprune.errors import SpikePruneError, of_system

LONGEST = int(os.environ.get("SPIKEPRUNE_LONGEST", "60"))  # seconds that a recipe may take
MEMORY = 12 * 2**30  # bytes of addresses: the machine of the tests must survive


def made(kind, seed):
    """Return a recipe, and whether it is to be run beyond its plan."""
    dice = random.Random(f"{kind} {seed}")
    return {"usual": usual, "extreme": extreme}[kind](dice), dice.random() < 0.2


def judged(kind, seed):
    """Return how a recipe ends: planned, ran, refused, not enough of something, or by an error."""
    from spikeprune.commands.base import configuration
    from spikeprune.lab.run.check import check
    from spikeprune.lab.run.plan import plan
    from spikeprune.lab.run.run import run

    values, whole = made(kind, seed)
    place = Path(tempfile.mkdtemp())
    try:
        os.chdir(place)
        text = yaml.safe_dump(values | {"out": values.get("out", "run")}, allow_unicode=True)
        Path("recipe.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
        config = configuration({"recipe": "recipe.yaml"})
        check(config)
        if whole:
            run(config)
            return "ran", ""
        json.dumps(plan(config))
        return "planned", ""
    except SpikePruneError as error:
        words = str(error)
        return ("refused", words) if 0 < len(words) < 2000 else ("wordless", words[:200])
    except Exception as error:
        words = of_system(error)
        return ("lacking", words) if words else ("foreign", traceback.format_exc())
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


def judge(kind, first, count):
    """Judge recipes one after another, here."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    for seed in range(first, first + count):
        print(json.dumps([seed, *judged(kind, seed)]), file=answers, flush=True)


def endings(kind, first, count):
    """Yield number, ending and words of every recipe, in processes that are replaced."""
    end = first + count
    while first < end:
        command = [sys.executable, __file__, "judge", kind, str(first), str(end - first)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            ready = selectors.DefaultSelector()
            ready.register(process.stdout, selectors.EVENT_READ)
            for seed in range(first, end):
                first = seed + 1
                if not ready.select(LONGEST + 60 * (seed == first)):  # the first one imports
                    yield [seed, "too long", ""]
                    break
                line = process.stdout.readline()
                if not line:
                    yield [seed, "crashed", f"exit code {process.wait()}"]
                    break
                yield json.loads(line)
            process.kill()


if __name__ == "__main__":
    *mode, kind, first, count = sys.argv[1:]
    if mode:
        judge(kind, int(first), int(count))
    else:
        for row in endings(kind, int(first), int(count)):
            print(json.dumps(row), flush=True)
