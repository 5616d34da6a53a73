"""What the documentation shows must work: its Python, its commands, its links, its keys."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from spikeprune import zoo
from spikeprune.cli import main
from spikeprune.commands import COMMANDS as ROWS
from spikeprune.lab.settings.recipes import recipe_names

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
GUIDES = [name for name in NAMES if name == "README.md" or name.startswith("docs/")]
PUBLIC = ("spikeprune.lab.compare", "spikeprune.toolbox", "spikeprune.extend", "spikeprune")
ENTRY_POINTS = "spikeprune.extensions"
COMMANDS = tuple(ROWS)
TINY = "--image_size 28 --limit 200 --epochs.prune 1 --epochs.finetune 1 --epochs.dense 1 --every 2"
# Below these keys stand names that a run gives: of layers, neurons and arguments.
NAMED_BY_THE_RUN = {"arguments", "channels_before", "channels_after", "criticality", "forced"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def shell_lines():
    for page in NAMES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    yield page, words


def inline_code(page):
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a weight run lies under runs/demo and a channel run under runs/channels."""
    base = tmp_path_factory.mktemp("readme")
    for name, more in (("demo", ""), ("channels", "--granularity channel --sparsity 0.5")):
        out = str(base / "runs" / name)
        assert main(["run", "--recipe", "smoke", *TINY.split(), *more.split(), "--out", out]) == 0
    return base


@pytest.fixture(scope="module")
def flags():
    """The flags of every command, as its help names them."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        for command in COMMANDS:
            found[command] = _help(command)
    return found


def _help(command):
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([command, "--help"]) == 0
    return set(re.findall(r"--[a-z][\w.-]*", out.getvalue()))


def known(flag, flags):
    return flag in flags or any(flag.startswith(f"{mapping}.") for mapping in flags)


def public_names(text):
    """Yield every name of spikeprune that a page imports or writes with dots."""
    imports = r"^\s*from (spikeprune[\w.]*) import (\([^)]*\)|[^\n#]+)"
    for module, names in re.findall(imports, text, re.M):
        for name in re.findall(r"(\w+)(?: as \w+)?", names):
            yield f"{module}.{name}"
    yield from re.findall(r"(?<![\w./-])spikeprune(?:\.[a-zA-Z_]\w*)+", text)


def promised(name):
    """Whether a dotted name is a public module, or a name of its `__all__`."""
    module = next(m for m in PUBLIC if name == m or name.startswith(f"{m}."))
    first = name.removeprefix(module).lstrip(".").split(".")[0]
    return not first or first in importlib.import_module(module).__all__


@pytest.mark.parametrize("page", GUIDES)
def test_pages_name_only_what_the_public_modules_promise(page):
    text = (ROOT / page).read_text()
    found = set(public_names(text)) - {ENTRY_POINTS}
    assert [name for name in sorted(found) if not promised(name)] == []


def test_a_deep_path_is_noticed():
    text = "`spikeprune.science.cost` and\nfrom spikeprune.toolbox import fuse, nothing\n"
    assert {name: promised(name) for name in public_names(text)} == {
        "spikeprune.toolbox": True,
        "spikeprune.toolbox.fuse": True,
        "spikeprune.toolbox.nothing": False,
        "spikeprune.science.cost": False,
    }


@pytest.mark.parametrize("page", GUIDES)
def test_files_of_the_package_that_pages_name_exist(page):
    for code in inline_code(page):
        if re.fullmatch(r"[\w/]+\.py", code) and "/" in code:
            assert (ROOT / code).is_file(), f"{page} names {code}, which does not exist"


def few(count):
    def load_digits():
        digits = full()
        return Bunch(images=digits.images[:count], target=digits.target[:count])

    full = sklearn.datasets.load_digits
    return load_digits


def shorter(source, epochs):
    text, times = re.subn(r"^T, epochs = 4, \d+$", f"T, epochs = 2, {epochs}", source, flags=re.M)
    assert times == 1, "the page no longer sets T and epochs in one line"
    return text


@pytest.mark.parametrize(
    ("page", "samples", "epochs"), [("README.md", 400, 6), ("docs/own-training-loop.md", 640, 4)]
)
def test_the_training_loops_run(page, samples, epochs, monkeypatch, capsys):
    monkeypatch.setattr(sklearn.datasets, "load_digits", few(samples))
    code = [block for block in blocks(page, "python") if "spikeprune.load" not in block]
    namespace = {"__name__": "page"}
    exec(compile(shorter("\n".join(code), epochs), page, "exec"), namespace)
    assert len(namespace["pruner"].events) >= 1
    assert 0.09 < namespace["pruner"].density < 0.11
    assert capsys.readouterr().out


def test_the_readme_s_three_calls_are_marked():
    (loop,) = [block for block in blocks("README.md", "python") if "Pruner(" in block]
    marked = re.findall(r"^.*#  ?(\d)$", loop, re.M)
    assert marked == ["1", "2", "3"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A folder with the code of docs/extending.md as a module."""
    base = tmp_path_factory.mktemp("extending")
    (base / "my_criteria.py").write_text("\n".join(blocks("docs/extending.md", "python")))
    return base


def in_folder(folder, *words):
    """Run Python in a process of its own: what it registers is gone afterwards."""
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_code_of_extending_runs(extended):
    done = in_folder(extended, "my_criteria.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["quiet-magnitude", "square-root"]


def test_a_net_of_ones_own_runs(tmp_path):
    (tmp_path / "net.py").write_text("\n".join(blocks("docs/any-net.md", "python")))
    done = in_folder(tmp_path, "net.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'#1': 48, '#2': 32} 0.10\n")


@pytest.mark.parametrize("line", ["--method quiet", "--method magnitude --allocation square-root"])
def test_the_command_line_imports_extensions(line, extended):
    options = ["--recipe", "smoke", "--extensions", "[my_criteria]", *line.split()]
    done = in_folder(extended, "-m", "spikeprune", "plan", *options)
    assert done.returncode == 0, done.stderr


def test_fusing_runs():
    model = zoo.build("vgg-small", classes=3, in_channels=1, image_size=8, time_steps=2)
    (code,) = blocks("docs/fused-neurons.md", "python")
    namespace = {"model": model}
    exec(compile(code, "docs/fused-neurons.md", "exec"), namespace)
    assert not namespace["report"].left


def test_loading_a_result_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (code,) = [block for block in blocks("README.md", "python") if "spikeprune.load" in block]
    exec(compile(code, "README.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.strip() in set("0123456789")


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = {words[1] for _, words in shell_lines() if words[0] == "make"}
    for page in NAMES:
        named |= {code.split()[1] for code in inline_code(page) if re.match(r"make \w", code)}
    assert {"demo", "test"} <= named <= targets


def test_commands_and_their_flags_exist(flags):
    seen = set()
    for page, words in shell_lines():
        if words[0] != "spikeprune" or words[1].startswith("--"):
            continue
        command, rest = words[1], words[2:]
        assert command in COMMANDS, f"{page}: {words}"
        seen.add(command)
        given = [word.split("=")[0] for word in rest if word.startswith("--")]
        assert all(known(flag, flags[command]) for flag in given), f"{page}: {words}"
        if "--recipe" in rest:
            recipe = rest[rest.index("--recipe") + 1]
            assert recipe in (*recipe_names(), "NAME") or recipe.endswith(".yaml"), (
                f"{page}: {words}"
            )
    assert seen == set(COMMANDS)


@pytest.mark.parametrize("page", NAMES)
def test_flags_named_in_the_text_exist(page, flags):
    every = set().union(*flags.values())
    for code in inline_code(page):
        if not code.startswith(("--", "spikeprune ")):
            continue
        for flag in re.findall(r"(?<![\w-])--[a-z][\w.-]*", code):
            group = flag.endswith(".") and any(name.startswith(flag) for name in every)
            assert group or known(flag, every), f"{page}: {code}"


def anchors(page):
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", text):
        if target.startswith("http"):
            continue
        there = (ROOT / page).parent / target if target else ROOT / page
        assert there.exists(), f"{page} links to {target}, which does not exist"
        if heading:
            assert heading in anchors(there), f"{page} links to {target}#{heading}"


def keys(value):
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            if key in NAMED_BY_THE_RUN:
                continue
            # The layers of an event are a mapping by name; those of a net are rows.
            by_name = key == "layers" and isinstance(below, dict)
            yield from keys(list(below.values()) if by_name else below)
    elif isinstance(value, list):
        for one in value:
            yield from keys(one)


def test_every_key_of_a_run_is_documented(folder):
    documented = set(inline_code("docs/run-folder.md"))
    for name in ("demo", "channels"):
        run = folder / "runs" / name
        found = set(keys(json.loads((run / "metrics.json").read_text())))
        for line in (run / "history.jsonl").read_text().splitlines():
            found |= set(keys(json.loads(line)))
        found |= set(json.loads((run / "plan.json").read_text()))
        assert found - documented == set()


def test_every_file_of_a_run_is_documented(folder):
    documented = set(inline_code("docs/run-folder.md"))
    for name in ("demo", "channels"):
        for file in (folder / "runs" / name).iterdir():
            assert file.name + "/" * file.is_dir() in documented
    assert {path.name for path in (folder / "runs" / "demo" / "dense").iterdir()} <= documented


def test_the_numbers_of_the_study_in_the_readme_are_the_study_s():
    numbers = re.findall(r"[-+]\d+\.\d\d", (ROOT / "README.md").read_text())
    assert len(numbers) == 9  # a difference and its interval, three times
    differences = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    study = (ROOT / "docs" / "study.md").read_text()
    assert all(f"{mean} [{low}, {high}]" in study for mean, low, high in differences)


def test_the_readme_claims_no_number_that_was_not_measured():
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert set(rows) >= {"demo", "cifar10-weights", "cifar10-channels"}
    recipes = [row for row in rows if row not in ("sequence", "step", "batch")]
    assert set(recipes) <= set(recipe_names())
