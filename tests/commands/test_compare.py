"""`spikeprune compare`."""

import pytest

from spikeprune.cli import main
from spikeprune.lab import compare as lab
from spikeprune.lab.compare import Comparison

BASE = ["compare", "--recipe", "smoke"]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Configurations that a comparison was asked for with."""
    configs = []

    def compare(config, display):
        config.check()
        configs.append(config)
        return tmp_path / "compare.html"

    monkeypatch.setattr(lab, "compare", compare)
    monkeypatch.setattr(lab, "load_comparison", lambda folder: Comparison([]))
    monkeypatch.chdir(tmp_path)
    return configs


def test_lists_and_flags_become_the_grid(asked, capsys):
    lists = {
        "--methods": "[dense, magnitude]",
        "--variants": "{mean: {method: criticality, criticality.space: mean}}",
        "--sparsities": "[0.5, 0.9]",
        "--seeds": "[0, 1, 2]",
        "--pairs": "[[magnitude, dense]]",
        "--explore": "[[mean, magnitude]]",
    }
    machine = "--jobs 2 --engine ray --ray_address localhost:1 --retries 5"
    others = "--mixed_teachers true --select validation --out study --epochs.prune 9 --threads 1"
    words = [word for pair in lists.items() for word in pair]
    assert main([*BASE, *words, *machine.split(), *others.split()]) == 0
    (config,) = asked
    assert config.methods == ("dense", "magnitude")
    assert config.variants == {"mean": {"method": "criticality", "criticality.space": "mean"}}
    assert (config.sparsities, config.seeds) == ((0.5, 0.9), (0, 1, 2))
    assert (config.pairs, config.explore) == ((("magnitude", "dense"),), (("mean", "magnitude"),))
    machine = config.machine
    assert (machine.jobs, machine.engine, machine.retries) == (2, "ray", 5)
    assert machine.ray_address == "localhost:1"
    assert config.mixed_teachers
    assert (config.select, config.out) == ("validation", "study")
    assert (config.base.data, config.base.epochs.prune, config.base.threads) == ("digits", 9, 1)
    assert capsys.readouterr().out.endswith("compare.html\n")


def test_single_values_of_recipe_and_flags_are_lists_of_one(asked):
    assert main([*BASE, "--method", "magnitude", "--seed", "4"]) == 0
    assert (asked[0].methods, asked[0].sparsities, asked[0].seeds) == (("magnitude",), (0.8,), (4,))
    assert main([*BASE, "--methods", "[dense]", "--seeds", "[5]", "--seed", "4"]) == 0
    assert (asked[1].methods, asked[1].seeds) == (("dense",), (5,))


def test_nets_and_data_by_lists_alone(asked):
    lists = ["--models", "[vgg9, vgg11]", "--data_sets", "[digits, mnist]"]
    assert main(["compare", "--methods", "[dense]", *lists]) == 0
    assert (asked[0].base.model, asked[0].base.data) == ("vgg9", "digits")
    assert (asked[0].models, asked[0].data_sets) == (("vgg9", "vgg11"), ("digits", "mnist"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["compare"], ["--data is missing", "smoke"]),
        (BASE, ["nothing to compare", "--methods"]),
        ([*BASE, "--methods", "dense"], ["--methods", "'dense'"]),
        ([*BASE, "--methods", "[dense]", "--seeds", "[a]"], ["--seeds"]),
        (
            [*BASE, "--methods", "[dense]", "--pairs", "[[dense, dense]]"],
            ["dense is given twice"],
        ),
        ([*BASE, "--methods", "[dense]", "--sparsites", "[0.5]"], ["did you mean --sparsities"]),
        ([*BASE, "--methods", "[dense]", "--variants", "{a: 3}"], ["--variants"]),
        (["compare", "a", "b"], ["folder of a run"]),
        (["compare", "a", "b", "--select", "x"], ["unknown select 'x'"]),
    ],
)
def test_wrong_usage_is_one_message(asked, capsys, args, words):
    assert main(args) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("spikeprune: error: ")
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert asked == []


def test_an_interrupt_says_how_to_go_on(asked, monkeypatch, capsys):
    def interrupted(config, display):
        raise KeyboardInterrupt

    monkeypatch.setattr(lab, "compare", interrupted)
    assert main([*BASE, "--methods", "[dense]", "--out", "mine"]) == 130
    assert "the same command goes on with the grid in mine" in capsys.readouterr().err
