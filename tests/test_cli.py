"""The command line: flags, recipes, exit codes, messages and help."""

import re
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest

from spikeprune import __version__
from spikeprune.cli import main
from spikeprune.commands import COMMANDS
from spikeprune.errors import DataError, RunError, of_system
from spikeprune.lab.settings.recipes import recipe_names
from spikeprune.science.masks import Mask
from spikeprune.stop import Terminated

BASE = ["--data", "digits", "--model", "vgg-small", "--sparsity", "0.9"]


def stub(monkeypatch, module, **functions):
    fake = types.ModuleType(f"spikeprune.{module}")
    for name, function in functions.items():
        setattr(fake, name, function)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Configurations that the stubbed run was called with."""
    monkeypatch.chdir(tmp_path)
    configs = []

    def run(config, *, display):
        configs.append(config)
        display.message("working")
        return config.folder / "report.html"

    stub(monkeypatch, "lab.run.run", run=run)
    return configs


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "data: digits\nmodel: vgg-small\nsparsity: 0.8\naugment: [crop]\n"
        "model_args: {head: average, widths: [8, 16]}\n"
        "epochs: {prune: 5, finetune: 6}\noptimizer: {name: adamw, lr: 1e-3}\n"
        "criticality: {space: mean, time: max}\nlimits: {conv1: [0.1, 1]}\n"
    )
    return str(path)


FLAGS = [
    ["--epochs.prune", "3"],
    ["--optimizer.lr", "0.1"],
    ["--criticality.space", "max"],
    ["--augment", "[flip, cutout]"],
    ["--model_args.head", "flatten"],
    ["--model_args.depth", "3"],
    ["--limits", "{conv2: [0.2, 0.5]}"],
    ["--sparsity=0.95"],
]


@pytest.mark.parametrize("place", [0, 4, len(FLAGS)])
def test_flags_win_over_the_recipe_wherever_it_stands(ran, recipe, place):
    parts = [*FLAGS[:place], ["--recipe", recipe], *FLAGS[place:]]
    assert main(["run", *(word for part in parts for word in part)]) == 0
    (config,) = ran
    assert (config.epochs.prune, config.epochs.finetune) == (3, 6)
    assert (config.optimizer.name, config.optimizer.lr) == ("adamw", 0.1)
    assert (config.criticality.space, config.criticality.time) == ("max", "max")
    assert config.augment == ("flip", "cutout")
    assert config.model_args == {"head": "flatten", "widths": [8, 16], "depth": 3}
    assert config.limits == {"conv1": (0.1, 1.0), "conv2": (0.2, 0.5)}
    assert config.sparsity == 0.95


def test_a_shipped_recipe_by_name(ran):
    assert main(["run", "--seed", "3", "--recipe", "smoke"]) == 0
    assert (ran[0].data, ran[0].seed) == ("digits", 3)


def test_flags_alone(ran, capsys):
    assert main(["run", *BASE, "--regrow", "random", "--channels_last", "false"]) == 0
    assert ran[0].regrow == "random"
    assert ran[0].channels_last is False
    assert "report: " in capsys.readouterr().out


def test_null_takes_a_recipe_s_value_back(ran, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("regrow: random\naugment: [flip]\nlimits: {conv1: [0, 1]}\n")
    args = ["--recipe", str(path), "--regrow", "null", "--augment", "[]", "--limits", "{}"]
    assert main(["run", *BASE, *args]) == 0
    assert (ran[0].regrow, ran[0].augment, ran[0].limits) == (None, (), {})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run"], ["--data is missing", "smoke"]),
        (["run", "--data", "digits"], ["--model is missing", "--recipe"]),
        (["run", *BASE[:4]], ["sparsity is missing", "--sparsity 0.9"]),
        (["run", "--recipe", "nope"], ["unknown recipe 'nope'", *recipe_names()]),
        (["run", *BASE, "--sparsty", "1"], ["--sparsty", "did you mean --sparsity"]),
        (["run", *BASE, "--spars", "0.5"], ["--spars", "--sparsity"]),
        (["run", *BASE, "--qqqqqq"], ["--qqqqqq", "--help"]),
        (["run", *BASE, "--optimizer.rate=1"], ["--optimizer.rate"]),
        (["run", *BASE, "--epochs.prune", "few"], ["--epochs.prune", "whole number", "'few'"]),
        (["run", *BASE, "--sparsity", "most"], ["--sparsity", "a number or null", "'most'"]),
        (["run", *BASE, "--augment", "crop"], ["--augment", "list such as [a, b]", "'crop'"]),
        (["run", *BASE, "--model_args", "3"], ["--model_args", "mapping"]),
        (["run", *BASE, "--limits", "{a: 1}"], ["--limits", "[lowest, highest]"]),
        (["run", *BASE, "--channels_last", "maybe"], ["--channels_last", "true or false"]),
        (["run", *BASE, "--seed"], ["--seed", "expected one argument"]),
        (["run", *BASE, "demo"], ["'demo'", "--help"]),
        (["run", *BASE, "--method", "slimming"], ["'slimming'", "magnitude"]),
        (["run", *BASE, "--out", "a/file"], []),
        (["plan", *BASE, "--time_steps", "0"], ["time_steps", "from 1 to"]),
        (["evaluate"], ["FOLDER is missing"]),
        (["evaluate", "x", "--devise", "cpu"], ["--devise", "did you mean", "--device"]),
        (["train"], ["unknown command train", "run, plan, evaluate"]),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_two(ran, capsys, tmp_path, args, words):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    code = main(args)
    out, error = capsys.readouterr()
    assert code == (1 if "a/file" in args else 2)
    assert out == ""
    assert error.startswith("spikeprune: error: ")
    assert "Traceback" not in error
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert ran == []


def test_a_recipe_with_an_unknown_field_is_refused_even_if_flags_are_right(ran, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: {prun: 3}\n")
    assert main(["run", *BASE, "--recipe", str(path)]) == 2
    assert "epochs.prun'" in capsys.readouterr().err


def raising(error):
    def function(*_, **__):
        raise error

    return function


def test_a_failed_run_is_exit_code_one(ran, monkeypatch, capsys):
    for error in (DataError("no data here"), RunError("the loss is nan")):
        stub(monkeypatch, "lab.run.run", run=raising(error))
        assert main(["run", *BASE]) == 1
        assert capsys.readouterr().err == f"spikeprune: error: {error}\n"


def test_debug_shows_the_traceback(ran, monkeypatch):
    stub(monkeypatch, "lab.run.run", run=raising(RunError("broken")))
    with pytest.raises(RunError):
        main(["run", *BASE, "--debug"])


def test_an_interrupt_says_how_to_go_on(ran, monkeypatch, capsys):
    stub(monkeypatch, "lab.run.run", run=raising(KeyboardInterrupt()))
    assert main(["run", *BASE, "--out", "mine"]) == 130
    error = capsys.readouterr().err
    assert "interrupted" in error
    assert "the same command goes on" in error
    assert "mine" in error


def test_a_bug_is_one_message_that_says_so(ran, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stub(monkeypatch, "lab.run.run", run=lambda config, *, display: Mask(3))
    assert main(["run", *BASE]) == 1
    error = capsys.readouterr().err
    assert error.startswith("spikeprune: error: this is a bug of spikeprune, please report it: ")
    assert error.count("\n") == 1
    with pytest.raises(AttributeError):
        main(["run", *BASE, "--debug"])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "x"), MemoryError()])
def test_what_the_system_refuses_is_one_message(ran, monkeypatch, capsys, error):
    stub(monkeypatch, "lab.run.run", run=raising(error))
    assert main(["run", *BASE]) == 1
    assert capsys.readouterr().err == f"spikeprune: error: {of_system(error)}\n"


def test_an_error_that_an_interrupt_left_behind_is_an_interrupt(ran, monkeypatch, capsys):
    def run(config, *, display):
        try:
            raise Terminated
        except Terminated:
            raise ImportError("half a module")  # noqa: B904

    stub(monkeypatch, "lab.run.run", run=run)
    assert main(["run", *BASE]) == 143
    assert capsys.readouterr().err == "spikeprune: terminated; nothing is lost\n"


def listens(pid):
    """Whether a process handles SIGTERM: the first thing that the command line does."""
    (mask,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return int(mask, 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("seconds", [0, 0.05, 0.2, 0.5, 1, 2, 4, 6])
def test_an_interrupt_at_any_moment_is_one_line(tmp_path, seconds):
    command = [sys.executable, "-m", "spikeprune", "run", "--recipe", "smoke"]
    with subprocess.Popen(
        [*command, "--epochs.prune", "1000", "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # The tests may run in the background of a shell, which ignores interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            while not listens(process.pid):
                time.sleep(0.001)
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert re.fullmatch(r"spikeprune: interrupted; .*\n", errors), errors


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert main([command, "--help"]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert out.startswith(f"usage: spikeprune {command}")
    assert max(map(len, out.splitlines())) <= int(columns)


def test_help_tells_defaults_choices_and_recipes(capsys):
    main(["run", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    for text in (
        "--epochs.prune",
        "--criticality.space",
        "lif | if | plif",
        "default: 4",
        "examples:",
        "mean-logits | per-step",
        *recipe_names(),
    ):
        assert text in words, text
    assert "type:" not in words
    assert "--augment+" not in words


def test_help_and_version_without_a_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spikeprune {__version__}\n"
    assert main([]) == 2
    assert "usage: spikeprune" in capsys.readouterr().err


def test_a_reader_that_stops_reading_gets_no_traceback():
    command = [
        sys.executable,
        "-c",
        "import sys; from spikeprune.cli import main; sys.exit(main())",
    ]
    with subprocess.Popen(
        [*command, "methods"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in errors
