import json
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from spikeprune.cli import main
from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.files import read_json, write_json, write_text
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.search import search as module
from spikeprune.lab.search.search import Goal, drop, print_search, search, search_folder
from spikeprune.lab.settings.config import RunConfig

DOCS = Path(__file__).parents[3] / "docs"

BASE = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "every": 2,
    "threads": 1,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "epochs": {"prune": 1, "finetune": 0},
}


@pytest.fixture
def curve(monkeypatch):
    """Runs that finish at once, with an accuracy that falls by `loss(sparsity, seed)`."""

    class Curve:
        highest = 1.0

        def __init__(self):
            self.ran = []

        @staticmethod
        def loss(sparsity, seed):
            return 0.1 * max(0.0, sparsity - 0.8)

        @staticmethod
        def synops(sparsity):
            return 1000 * (1 - sparsity)

        @staticmethod
        def signs(sparsity):
            return []

        def run(self, config, *, display):
            if config.sparsity > self.highest:
                raise BudgetError("the floors alone exceed the budget")
            self.ran.append((config.sparsity, config.seed))
            files = RunFolder(config.folder)
            config.save(files.config)
            dense = {"validation_accuracy": 0.9, "test_accuracy": 0.89}
            accuracy = 0.9 - self.loss(config.sparsity, config.seed)
            # A better test accuracy at every higher sparsity: it must not matter.
            pruned = {"validation_accuracy": accuracy, "test_accuracy": config.sparsity}
            pruned["density"] = 1 - config.sparsity
            dense["validation_synops_per_sample"] = 1000.0
            pruned["validation_synops_per_sample"] = self.synops(config.sparsity)
            pruned["warnings"] = self.signs(config.sparsity)
            samples = {"samples": {"validation": 400}}
            write_json(files.metrics, {"dense": dense, "pruned": pruned, "data": samples})
            write_text(files.report, "the report")

    found = Curve()
    monkeypatch.setattr(module, "run", found.run)
    return found


def config(tmp_path, **values):
    return RunConfig.from_dict(BASE | {"out": str(tmp_path / "x")} | values)


def test_drop_by_hand():
    points, error = drop([{"dense": 0.9, "pruned": 0.8}], 100)
    assert points == pytest.approx(10)
    assert error == pytest.approx(100 * math.sqrt((0.9 * 0.1 + 0.8 * 0.2) / 100))
    pairs = [{"dense": 0.9, "pruned": 0.8}, {"dense": 0.9, "pruned": 0.84}]
    points, error = drop(pairs, 100)
    assert points == pytest.approx(8)
    samples = (2 * 0.09 + 0.16 + 0.84 * 0.16) / 2 / 100
    assert error == pytest.approx(100 * math.sqrt(samples + 0.02**2 * 2 / 2))


def test_the_fewest_measured_operations_win_under_a_budget_of_synops(curve, tmp_path):
    curve.loss = lambda sparsity, seed: 0.005 if sparsity < 0.97 else 0.5
    curve.synops = lambda sparsity: 50.0 if sparsity == 0.9 else 60.0  # they moved afterwards
    found = search(config(tmp_path, budget="synops"), Goal(1.0, runs=3))
    assert [trial["left"] for trial in found["tried"]] == [0.05, 0.06, 0.06]
    assert max(t["sparsity"] for t in found["tried"] if t["good_enough"]) > 0.9
    assert (found["budget"], found["chosen"]["sparsity"]) == ("synops", 0.9)
    assert found["chosen"]["left"] == 0.05


def test_under_a_budget_of_synops_the_words_are_of_operations(curve, tmp_path, capsys):
    print_search(Console(width=200), search(config(tmp_path, budget="synops"), Goal(1.0, runs=2)))
    said = capsys.readouterr().out.replace("\u00a0", " ")
    assert "fewer SynOps" in said
    assert "SynOps left" in said
    assert "sparsity" not in said


def test_the_share_that_is_left_is_that_of_the_budget_s_unit():
    metrics = {
        "dense": {"parameters": 100, "dense_macs_per_sample": 50.0},
        "pruned": {"parameters": 60, "dense_macs_per_sample": 10.0, "density": 0.4},
        "cut": {"channels_before": {"a": 8, "b": 8}, "channels_after": {"a": 2, "b": 6}},
    }
    metrics["dense"]["validation_synops_per_sample"] = 8.0
    metrics["pruned"]["validation_synops_per_sample"] = 2.0
    expected = {"weights": 0.4, "channels": 0.5, "parameters": 0.6, "macs": 0.2, "synops": 0.25}
    assert {unit: module.left_of(metrics, unit) for unit in expected} == expected


def test_a_dead_net_is_never_good_enough(curve, tmp_path):
    curve.loss = lambda sparsity, seed: 0.0
    curve.signs = lambda sparsity: ["no neuron of a fires"] if sparsity > 0.95 else []
    found = search(config(tmp_path), Goal(1.0, runs=3))
    assert found["chosen"]["sparsity"] <= 0.95
    dead = [trial for trial in found["tried"] if trial["sparsity"] > 0.95]
    assert dead
    assert all(t["dead"] == ["no neuron of a fires"] and not t["good_enough"] for t in dead)


def test_a_dead_dense_net_is_no_reference(tmp_path):
    with pytest.raises(RunError, match="is no reference to lose accuracy against: at chance"):
        module._require_living({"warnings": ["at chance"]}, tmp_path)


def test_it_finds_the_sparsest_net_within_the_drop(curve, tmp_path):
    found = search(config(tmp_path), Goal(1.0, runs=12))  # 1 point is lost at 0.9
    assert [row["sparsity"] for row in found["tried"]] == [s for s, _ in curve.ran]
    assert found["tried"][0]["sparsity"] == 0.9
    assert 0.895 < found["chosen"]["sparsity"] <= 0.9
    assert found["chosen"]["drop"] <= 1.0
    assert found["chosen"]["test_accuracy"] == [
        {"dense": 0.89, "pruned": found["chosen"]["sparsity"]}
    ]
    for row in found["tried"]:
        assert row["drop"] == pytest.approx(10 * max(0, row["sparsity"] - 0.8))
        assert row["good_enough"] == (row["drop"] <= 1.0)
        assert row["within_noise"] == (abs(row["drop"] - 1) <= row["standard_error"])
    assert read_json(tmp_path / "x" / "search.json") == found


def test_a_recipe_s_sparsity_comes_first_and_the_budget_is_kept(curve, tmp_path):
    found = search(config(tmp_path, sparsity=0.7), Goal(1.0, runs=3))
    assert [s for s, _ in curve.ran] == [0.7, 0.875, 0.9844]
    assert found["chosen"]["sparsity"] == 0.875


def test_what_is_finished_is_used_again(curve, tmp_path):
    first = search(config(tmp_path), Goal(1.0, runs=2))
    done = list(curve.ran)
    again = search(config(tmp_path), Goal(1.0, runs=4))
    assert again["tried"][:2] == first["tried"]
    assert curve.ran[:2] == done
    assert len(curve.ran) == 4
    with pytest.raises(RunError, match="holds a different run"):
        search(config(tmp_path, time_steps=3), Goal(1.0))


def test_a_search_that_was_stopped_goes_on(curve, tmp_path, monkeypatch):
    def interrupted(config, *, display):
        if len(curve.ran) == 2:
            raise KeyboardInterrupt
        curve.run(config, display=display)

    monkeypatch.setattr(module, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(config(tmp_path), Goal(1.0, runs=4))
    assert len(read_json(tmp_path / "x" / "search.json")["tried"]) == 2
    monkeypatch.setattr(module, "run", curve.run)
    found = search(config(tmp_path), Goal(1.0, runs=4))
    assert len(curve.ran) == len(set(curve.ran)) == len(found["tried"]) == 4


def test_the_mean_over_seeds_decides(curve, tmp_path):
    curve.loss = lambda sparsity, seed: 0.02 if seed == 5 else 0.004
    found = search(config(tmp_path, seed=4), Goal(1.0, runs=1, seeds=3))
    (row,) = found["tried"]
    assert [seed for _, seed in curve.ran] == found["seeds"] == [4, 5, 6]
    assert row["drop"] == pytest.approx(100 * (0.02 + 0.008) / 3)
    assert row["good_enough"]
    assert len(found["chosen"]["test_accuracy"]) == 3


def test_a_sparsity_that_floors_forbid_is_a_bound(curve, tmp_path):
    curve.highest, curve.loss = 0.93, lambda sparsity, seed: 0.0
    found = search(config(tmp_path), Goal(1.0, runs=5))
    assert found["tried"][1]["refused"] == "the floors alone exceed the budget"
    assert 0.92 < found["chosen"]["sparsity"] <= 0.93


def test_nothing_good_enough_is_an_error_that_keeps_the_path(curve, tmp_path):
    curve.loss = lambda sparsity, seed: 0.5
    with pytest.raises(RunError, match="none of 4 sparsities stays within --max-drop 1"):
        search(config(tmp_path), Goal(1.0, runs=9))
    found = read_json(tmp_path / "x" / "search.json")
    assert [row["sparsity"] for row in found["tried"]] == [0.9, 0.75, 0.25, 0.01]
    assert found["chosen"] is None


@pytest.mark.parametrize(
    "goal", [{"max_drop": 0.0}, {"max_drop": -1.0}, {"max_drop": 100.0}, {"max_drop": math.nan}]
)
def test_a_drop_that_makes_no_sense(goal):
    with pytest.raises(ConfigError, match="above 0 and below 100"):
        Goal(**goal)


def test_the_choice_is_printed_with_its_path_and_test_accuracy(curve, tmp_path, capsys):
    curve.highest, curve.loss = 0.93, lambda sparsity, seed: 0.002 * (1 + seed)
    found = search(config(tmp_path), Goal(1.0, runs=2, seeds=2))
    capsys.readouterr()
    print_search(Console(width=200), found)
    said = capsys.readouterr().out.replace("\u00a0", " ")
    lines = [line.split() for line in said.splitlines()]
    error = f"{found['tried'][0]['standard_error']:.2f}"
    start = ["90.00", "%", "10.00", "%", "0.30", error]
    assert [*start, "good", "enough,", "within", "noise"] in lines
    assert ["96.43", "%", "–", "–", "–", "cannot", "be", "reached"] in lines
    assert "on 400 validation samples" in said
    assert "dense 89.00 %, pruned 90.00 % (+1.00 points), mean of 2 seeds" in said


def test_the_folder_is_named_after_the_search_and_not_a_sparsity(tmp_path):
    named = RunConfig.from_dict(BASE | {"sparsity": 0.5, "method": "rigl", "seed": 3})
    assert search_folder(named) == Path("runs/search_digits_vgg-small_rigl_weight_seed3")
    assert search_folder(config(tmp_path)) == tmp_path / "x"


def test_bad_input(curve, tmp_path, capsys, monkeypatch):
    for wrong in ({"runs": 0}, {"seeds": 0}):
        with pytest.raises(ConfigError, match="to be from 1 to"):
            Goal(1.0, **wrong)
    with pytest.raises(ConfigError, match="'dense' prunes nothing"):
        search(config(tmp_path, method="dense"), Goal(1.0))
    with pytest.raises(ConfigError, match="time_steps"):
        search(config(tmp_path, time_steps=0), Goal(1.0))
    assert curve.ran == []
    arguments = ["search", "--recipe", "smoke", "--out", str(tmp_path / "y")]
    assert main(arguments) == 2
    assert "--max-drop is missing" in capsys.readouterr().err
    assert main([*arguments, "--max-drop", "1", "--sparsity", "0.5"]) == 2
    assert "leave --sparsity out" in capsys.readouterr().err
    assert main([*arguments, "--max-drop", "few"]) == 2
    assert "--max" in capsys.readouterr().err
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def load():\n"
        "    batch = [(torch.zeros(4, 1, 8, 8), torch.arange(4))]\n"
        "    return {'train': batch, 'test': batch, 'shape': (1, 8, 8), 'classes': 4}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no validation samples"):
        search(config(tmp_path, data="mine:load", limit=None), Goal(1.0))
    assert not (tmp_path / "x").exists()


def test_from_the_command_line(tmp_path, capsys):
    recipe = tmp_path / "tiny.yaml"
    learns = {"limit": 400, "epochs": {"prune": 3, "finetune": 1}}
    learns["optimizer"] = {"name": "adamw", "lr": 0.05}
    recipe.write_text(json.dumps(BASE | learns | {"sparsity": 0.5}))
    out = tmp_path / "found"
    arguments = ["search", "--recipe", str(recipe), "--out", str(out)]
    assert main([*arguments, "--max-drop", "99", "--runs", "2"]) == 0
    said = capsys.readouterr().out
    assert "chosen: 75.00\u00a0% fewer weights" in said
    assert f"search: {out / 'search.json'}" in said
    found = read_json(out / "search.json")
    assert [row["sparsity"] for row in found["tried"]] == [0.5, 0.75]
    for row in found["tried"]:
        metrics = read_json(out / row["folders"][0] / "metrics.json")
        accuracy = {net: metrics[net]["validation_accuracy"] for net in ("dense", "pruned")}
        assert row["validation_accuracy"] == [accuracy]
        assert row["drop"] == pytest.approx(100 * (accuracy["dense"] - accuracy["pruned"]))
        assert metrics["target"]["sparsity"] == row["sparsity"]
    assert len(list((out / ".dense").iterdir())) == 1
    page = (DOCS / "analysis.md").read_text()
    rows = [*found["tried"], *found["tried"][0]["validation_accuracy"], found["chosen"]]
    for row in (found, *rows):
        assert row.keys() <= set(re.findall(r"`([^`\n]+)`", page))
