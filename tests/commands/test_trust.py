"""No command imports code that a folder or a recipe names, unless it is told to trust it.

`stranger.py` lies in the current folder; once imported it leaves a file. Every command is given
what names it wherever a name can stand.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spikeprune.cli import main
from spikeprune.commands import COMMANDS
from spikeprune.files import read_json, write_json
from spikeprune.lab.compare import CompareConfig, jobs
from spikeprune.lab.reproduce import EXPERIMENTS, Request
from spikeprune.lab.reproduce.reproduce import jobs as jobs_to_reproduce
from spikeprune.lab.run.run import run
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.yaml_values import dump_yaml, parse_yaml
from spikeprune.manifest import NAME, write_manifest
from spikeprune.science import health

TINY = {
    "data": "digits",
    "limit": 60,
    "batch_size": 20,
    "model": "vgg-small",
    "model_args": {"widths": [4, 4], "strides": [2, 2]},
    "time_steps": 2,
    "method": "magnitude",
    "sparsity": 0.5,
    "every": 1,
    "epochs": {"prune": 1, "finetune": 0, "dense": 1},
    "threads": 1,
}
STRANGER = """
from pathlib import Path

from spikeprune import zoo
from spikeprune.data import load as of_spikeprune

Path("imported").touch()


def build(classes, in_channels, image_size, time_steps, **arguments):
    return zoo.build("vgg-small", classes=classes, in_channels=in_channels,
                     image_size=image_size, time_steps=time_steps, **arguments)


def load(batch_size, time_steps, seed, limit):
    return of_spikeprune("digits", batch_size=batch_size, time_steps=time_steps, seed=seed,
                         limit=limit)
"""
POISONS = {
    "model": {"model": "stranger:build"},
    "data": {"data": "stranger:load"},
    "extensions": {"extensions": ["stranger"]},
}
REFUSED, DONE = 1, 0


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("real") / "run"
    run(RunConfig.from_dict({**TINY, "out": str(folder)}))
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(STRANGER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def change(path, **values):
    path.write_text(dump_yaml(parse_yaml(path.read_text(), str(path)) | values))


def reseal(folder):
    """Write the checksums of a stranger's run, as a stranger would, of its files as they are."""
    write_manifest(folder, read_json(folder / NAME)["files"], {})


def recipe(_, poison):
    Path("theirs.yaml").write_text(dump_yaml(TINY | POISONS[poison]))


def folder(real, poison):
    """Write `one`, a finished run with poison in its configuration or its plan, and `two`."""
    for name in ("one", "two"):
        shutil.copytree(real, name)
    if poison != "plan":
        change(Path("one/config.yaml"), **POISONS[poison])
    if poison in ("plan", "model"):
        plan = read_json(Path("one/plan.json"))
        arguments = {n: plan["model"]["arguments"][n] for n in ("widths", "strides")}
        task = {"classes": 10, "in_channels": 1, "image_size": 8, "time_steps": 2}
        plan["model"] = {"name": "stranger:build", "arguments": task | arguments}
        write_json(Path("one/plan.json"), plan)
    reseal(Path("one"))


def comparison(real, poison):
    """Write `grid`, a comparison whose base, settings and variants have poison."""
    values = {
        "base": TINY | POISONS["extensions"] | POISONS[poison],
        "methods": ["magnitude", "stranger's"],
        "variants": {"v": {"method": "magnitude", "extensions": ["stranger"]}},
        "settings": {"s": POISONS[poison]},
        "sparsities": [0.5],
    }
    config = CompareConfig.from_dict({**values, "out": "grid"})
    Path("grid").mkdir()
    Path("grid/compare.yaml").write_text(dump_yaml(config.to_dict()))
    shutil.copytree(real, jobs(config)[0].folder.path)


def reproduction(real, _):
    """Write `paper`, finished runs of a figure, whose plans name the stranger's net."""
    request = Request(names=("fig4",), out="paper", seeds=(0,))
    for job in jobs_to_reproduce([EXPERIMENTS["fig4"]], request):
        shutil.copytree(real, job.folder.path)
        job.config.save(job.folder.config)
        plan = read_json(job.folder.plan)
        plan["model"]["name"] = "stranger:build"
        write_json(job.folder.plan, plan)
        reseal(job.folder.path)


def installation(real, _):
    """Make the current folder look like packages, recipes and data."""
    for name in ("digits", "smoke", "torch", "json", "numpy"):
        shutil.copy("stranger.py", f"{name}.py")
    Path("stranger-1.0.dist-info").mkdir()
    Path("stranger-1.0.dist-info/METADATA").write_text("Name: stranger\n")
    text = "[spikeprune.extensions]\nx = stranger\n"
    Path("stranger-1.0.dist-info/entry_points.txt").write_text(text)


def cases(command, line, make, poisons=tuple(POISONS), code=REFUSED):
    return [(command, line.split(), make, poison, code) for poison in poisons]


CASES = [
    *cases("run", "--recipe theirs.yaml --out x", recipe),
    *cases("plan", "--recipe theirs.yaml", recipe),
    *cases("search", "--recipe theirs.yaml --out x --max-drop 99 --runs 1", recipe),
    *cases("compare", "--recipe theirs.yaml --out x --methods [magnitude]", recipe),
    *cases("compare", "grid", comparison, code=DONE),
    *cases("compare", "one --out x", folder, ("model", "plan"), DONE),
    *cases("report", "grid", comparison, code=DONE),
    *cases("report", "one", folder, (*POISONS, "plan"), DONE),
    *cases("evaluate", "one", folder, ("model", "data", "plan")),
    *cases("evaluate", "one", folder, ("extensions",), DONE),
    *cases("analyze", "one", folder, ("model", "data", "plan")),
    *cases("analyze", "one", folder, ("extensions",), DONE),
    *cases("analyze", "one two --out x", folder, ("model", "data", "plan")),
    *cases("analyze", "one --files_only", folder, (*POISONS, "plan"), DONE),
    *cases("analyze", "one two --files_only", folder, (*POISONS, "plan"), DONE),
    *cases("reproduce", "fig4 --out paper --seeds [0]", reproduction, ("plan",)),
    *cases("data", "--data_root .", installation, ("none",), DONE),
    *cases("methods", "", installation, ("none",), DONE),
    *cases("recipes", "", installation, ("none",), DONE),
]


def files():
    return {path: path.stat().st_mtime_ns for path in Path().rglob("*")}


def test_every_command_is_among_the_cases():
    assert {command for command, *_ in CASES} == set(COMMANDS)


def _name(value):
    return getattr(value, "__name__", str(value))  # the text of a function has its address


@pytest.mark.parametrize(
    ("command", "line", "make", "poison", "code"),
    CASES,
    ids=lambda value: "_".join(value) if isinstance(value, list) else _name(value),
)
def test_what_files_name_is_imported_only_if_trusted(
    real, capsys, monkeypatch, command, line, make, poison, code
):
    monkeypatch.setattr(health, "LEVEL", 1.0)  # a search for nothing at chance goes on
    make(real, poison)
    before = files()
    assert main([command, *line]) == code
    assert not Path("imported").exists()
    assert "stranger" not in sys.modules
    if code == DONE:
        return
    said = capsys.readouterr().err
    assert said.count("spikeprune: error:") == 1
    assert "names code" in said
    assert "'stranger" in said
    assert "--trust-code" in said
    if command == "reproduce":
        return
    assert files() == before
    if make is recipe and poison != "model":
        return  # one poison is enough for the long way
    assert main([command, *line, "--trust-code"]) == 0
    assert Path("imported").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_is_typed_is_trusted_and_wins_over_a_recipe(command, capsys):
    recipe(None, "model")
    more = ["--out", "x"] if command == "run" else []
    assert main([command, "--recipe", "theirs.yaml", "--model", "vgg-small", *more]) == 0
    assert not Path("imported").exists()
    line = ["--recipe", "theirs.yaml", "--model", "stranger:build"]
    assert main([command, *line, *(["--out", "y"] if more else [])]) == 0
    assert Path("imported").exists()


def test_the_command_that_a_run_records_repeats_it(capsys):
    recipe(None, "model")
    assert main(["run", "--recipe", "theirs.yaml", "--trust-code", "--out", "x"]) == 0
    recorded = read_json(Path("x/metrics.json"))["command"]
    assert recorded == "spikeprune run --recipe x/config.yaml --trust-code"
    assert main(recorded.split()[1:]) == 0


def test_files_beside_trusted_code_hide_no_module_of_python_or_of_a_package(real):
    """In a process of its own, in which nothing is imported yet."""
    folder(real, "model")
    hidden = ["json", "torch", "numpy", "datasets", "spikingjelly", "numba", "yaml", "jinja2"]
    for name in hidden:
        Path(f"{name}.py").write_text("from pathlib import Path\nPath('hidden').touch()\n")
    code = "import sys; from spikeprune.cli import main; sys.exit(main())"
    line = [sys.executable, "-P", "-c", code, "evaluate", "one", "--trust-code"]
    assert subprocess.run(line, check=False, capture_output=True).returncode == 0
    assert Path("imported").exists()
    assert not Path("hidden").exists()
