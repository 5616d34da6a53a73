"""`spikeprune search`."""

import pytest

from spikeprune.cli import main
from spikeprune.lab.search import search as lab
from spikeprune.lab.search.search import Goal


@pytest.fixture
def searched(record):
    return record(lab, "search", {"chosen": None})


@pytest.fixture(autouse=True)
def printed(record, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return record(lab, "print_search")


LINE = ["search", "--data", "digits", "--model", "vgg-small"]


def test_the_goal_and_the_run_reach_the_search(searched, printed, capsys):
    flags = "--max-drop 1.5 --runs 4 --seeds 2 --out here --seed 3"
    assert main([*LINE, *flags.split()]) == 0
    (call,) = searched
    assert call["goal"] == Goal(max_drop=1.5, runs=4, seeds=2)
    assert (call["config"].data, call["config"].seed) == ("digits", 3)
    assert list(printed[0].values())[1] == {"chosen": None}
    assert capsys.readouterr().out == "search: here/search.json\n"


def test_six_runs_of_one_seed_unless_told_otherwise(searched):
    assert main([*LINE, "--max-drop", "1"]) == 0
    assert searched[0]["goal"] == Goal(max_drop=1.0, runs=6, seeds=1)


def test_a_recipe_s_sparsity_is_where_it_starts(searched):
    assert main(["search", "--recipe", "smoke", "--max-drop", "1"]) == 0
    assert searched[0]["config"].sparsity == 0.8


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["--max-drop is missing", "--max-drop 1.0"]),
        (["--max-drop", "1", "--sparsity", "0.5"], ["leave --sparsity out"]),
        (["--max-drop", "little"], ["'little'"]),
    ],
)
def test_wrong_usage_is_refused(searched, capsys, args, words):
    assert main([*LINE, *args]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert searched == []


def test_an_interrupt_names_the_folder(record, capsys):
    record(lab, "search", KeyboardInterrupt())
    assert main([*LINE, "--max-drop", "1", "--out", "mine"]) == 130
    assert "the same command goes on with the search in mine" in capsys.readouterr().err
