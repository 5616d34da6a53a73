import csv
import json
import re

import pytest

from spikeprune.lab.compare import jobs, load_comparison
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.numbers.statistics import paired_interval
from spikeprune.lab.compare.output.documents import write_documents

PAIRS = {
    "pairs": [["criticality", "magnitude"]],
    "explore": [["magnitude", "dense"], ["criticality", "dense"]],
}


def documents(config):
    """Write the documents of a grid and return its folder."""
    write_documents(load_comparison(config.folder.path), config.folder)
    return config.folder


@pytest.fixture
def study(finished):
    """Three methods, three seeds, all finished."""
    accuracies = {
        "dense": [0.9, 0.9, 0.9],
        "magnitude": [0.70, 0.72, 0.74],
        "criticality": [0.75, 0.76, 0.80],
    }
    config = finished(accuracies, **PAIRS)
    return documents(config)


def table_of(markdown, number):
    lines = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    rows = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines[number]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_markdown_has_means_spread_and_pairs(study):
    text = study.table("md").read_text().replace("\u00a0", " ")
    rows = table_of(text, 0)
    assert [row["method"] for row in rows] == ["dense", "magnitude", "criticality"]
    row = rows[1]
    assert (row["target"], row["n"]) == ("80 %", "3")
    assert row["test accuracy, %"] == "72.00 ± 2.00"
    assert row["drop against dense, points"] == "18.00 ± 2.00"
    assert (row["pruning epochs"], row["total epochs"]) == ("6", "10")
    assert (row["training FLOPs"], row["training FLOPs, sparse-aware"]) == ("81.0 T", "39.0 T")
    assert row["wall time"] == "2 min 31 s"
    named, *explored = table_of(text, 1)
    found = paired_interval([0.05, 0.04, 0.06])
    assert named["contrast, a − b"] == "criticality − magnitude"
    assert named["mean difference, points"] == "+5.00"
    assert named["95 % interval"] == f"+{100 * found.low:.2f} … +{100 * found.high:.2f}"
    assert named["p"] == named["p, Holm"] == f"{found.p:.3f}"
    assert named["kind"] == "named beforehand"
    assert named["what it allows to say"] == "excludes 0; enough to explore, not to claim"
    assert [row["kind"] for row in explored] == ["exploratory"] * 2
    assert "3 seeds at most: enough to explore, not to claim" in text


def test_a_target_names_its_budget(finished):
    methods = ["magnitude", "criticality"]
    config = finished({name: [0.7, 0.8] for name in methods}, pairs=[methods])
    for job in jobs(config):
        if job.method == "magnitude":
            metrics = json.loads(job.folder.metrics.read_text())
            metrics["target"]["budget"] = "synops"
            job.folder.metrics.write_text(json.dumps(metrics))
    folder = documents(config)
    text = folder.table("md").read_text().replace("\u00a0", " ")
    assert [row["target"] for row in table_of(text, 0)] == ["80 % fewer SynOps", "80 %"]
    assert table_of(text, 1)[0]["target"] == "80 % fewer SynOps − 80 %"
    rows = list(csv.DictReader(folder.table("csv").read_text().splitlines()))
    assert [row["budget"] for row in rows] == ["synops", "weights"]
    (pair,) = csv.DictReader(folder.pairs.read_text().splitlines())
    assert pair["budgets"] == "synops weights"


def test_csv_has_plain_numbers(study):
    rows = list(csv.DictReader(study.table("csv").read_text().splitlines()))
    assert [row["seeds"] for row in rows] == ["0 1 2"] * 3
    assert rows[0]["target_sparsity"] == ""
    assert float(rows[1]["test_accuracy_mean"]) == pytest.approx(0.72)
    assert float(rows[1]["test_accuracy_std"]) == pytest.approx(0.02)
    pairs = list(csv.DictReader(study.pairs.read_text().splitlines()))
    assert [row["named_beforehand"] for row in pairs] == ["True", "False", "False"]
    differences = [float(x) for x in pairs[0]["differences"].split()]
    assert differences == [pytest.approx(0.05), pytest.approx(0.04), pytest.approx(0.06)]
    assert float(pairs[0]["low"]) == pytest.approx(paired_interval(differences).low)


def test_latex_is_whole_and_escaped(study):
    text = study.table("tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    body = [line for line in text.splitlines() if not line.startswith("%")]
    for spec, *rows in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\bottomrule", text, re.S):
        lines = [line for line in rows[0].splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(spec)}
    assert not re.search(r"(?<!\\)[%#_]|[±−–…\u00a0]", "\n".join(body))


def test_the_rows_hold_every_finished_cell(study):
    rows = json.loads(study.rows.read_text())
    assert rows["schema"] == 1
    assert len(rows["cells"]) == 9
    for row in rows["cells"]:
        assert (study.path / row["run"] / "metrics.json").is_file()
        assert 0 < row["test_accuracy"] < 1
        assert row["facts"]["code"]


def test_several_settings_have_a_column(finished):
    config = finished({"magnitude": [0.7, 0.8]}, settings={"a|b": {}, "c": {}})
    folder = documents(config)
    text = folder.table("md").read_text()
    assert text.startswith("| setting | method |")
    assert r"| a\|b | magnitude |" in text
    assert "kind" not in text  # no pair was asked for
    assert len(folder.pairs.read_text().splitlines()) == 1


def test_differences_stand_in_the_table(grid, finish):
    config = claim(grid(methods=["magnitude", "criticality"], seeds=[0, 1, 2]))
    for job in jobs(config):
        finish(job, threads=1 if job.method == "criticality" and job.seed == 0 else 4)
    folder = documents(config)
    text = folder.table("md").read_text()
    assert "| criticality [1] |" in text
    assert "| magnitude |" in text
    assert "- [1] The runs differ in threads: 4 (5 runs), 1 (1 run)." in text
    rows = list(csv.DictReader(folder.table("csv").read_text().splitlines()))
    assert [row["differs_in"] for row in rows] == ["", "threads"]


def test_ten_seeds_and_a_contrast_named_beforehand_carry_a_claim(finished):
    dice = [0.01, 0.02, 0.015, 0.012, 0.013, 0.02, 0.011, 0.016, 0.018, 0.01]
    accuracies = {"magnitude": [0.7] * 10, "criticality": [0.7 + x for x in dice]}
    config = finished(accuracies, pairs=[["criticality", "magnitude"]])
    documents(config)
    text = config.folder.table("md").read_text()
    assert "| excludes 0 |" in text
    assert "enough to explore" not in text


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ({"magnitude": [0.7], "criticality": [0.8]}, "one seed: no interval"),
        ({"magnitude": [0.7, 0.7], "criticality": [0.8, 0.8]}, "all differences equal"),
        ({"magnitude": [0.7, 0.8], "criticality": [0.8, 0.7]}, "holds 0; enough to explore"),
        ({"magnitude": [], "criticality": [0.8]}, None),
    ],
)
def test_conclusions_from_few_seeds(finished, accuracies, words):
    config = finished(accuracies, pairs=[["criticality", "magnitude"]])
    documents(config)
    text = config.folder.table("md").read_text()
    assert (words or "criticality") in text
    if words is None:
        assert "criticality − magnitude" not in text


def test_validation_accuracy_takes_the_place_of_test_accuracy(finished):
    config = finished({"magnitude": [0.7, 0.8], "criticality": [0.8, 0.8]}, select="validation")
    documents(config)
    text = config.folder.table("md").read_text().replace("\u00a0", " ")
    assert "validation accuracy, %" in text
    assert "test accuracy" not in text
    assert "| 37.50 ± 3.54 |" in text
    assert "| 7.50 ± 3.54 |" in text  # the drop of validation accuracy


def test_rows_that_are_not_dominated_stand_in_all_documents(grid, finish):
    config = claim(grid(methods=["magnitude", "criticality"], seeds=[0]))
    for job in jobs(config):
        finish(job, 0.7 if job.method == "magnitude" else 0.8, synops=1e5)
    folder = documents(config)
    text = folder.table("md").read_text()
    (row,) = table_of(text, 1)
    assert (row["method"], row["SynOps"]) == ("criticality", "100\u00a0k *")
    assert "- * marks the costs in which a row is not dominated" in text
    assert "100~k *" in folder.table("tex").read_text()
    rows = list(csv.DictReader(folder.table("csv").read_text().splitlines()))
    assert [row["not_dominated"] for row in rows] == ["", "synops energy bytes"]
