"""All figures and tables at the scale smoke, through the command line, on real runs."""

import json
import re

from spikeprune.cli import main
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.reproduce import EXPERIMENTS, SCALES
from spikeprune.lab.reproduce.output.documents import Folder

LEAST_RUNS = {"fig2": 10, "table-unstructured": 14}


def test_all_figures_and_tables_are_made_by_one_command(tmp_path, capsys):
    """One test: spread over several processes, its runs would be made in each of them."""
    folder = Folder(tmp_path / "smoke")
    options = ["--scale", "smoke", "--jobs", "2", "--threads", "1", "--out", str(folder.path)]
    assert main(["reproduce", "all", *options]) == 0
    for name in EXPERIMENTS:
        raw_numbers_table_and_figures_are_there(folder, name)
    the_page_holds_all_and_its_links_lead_somewhere(folder)
    numbers_are_those_of_the_runs(folder)
    accuracies_by_epoch_exist_for_figures_4_and_5_alone(folder)
    capsys.readouterr()
    the_next_command_runs_nothing_again(folder, options)
    out = capsys.readouterr().out
    assert "Is criticality about entropy?" in out
    assert "Pruning cost" not in out
    assert "no evidence" in out


def read(folder, name):
    return json.loads(folder.of(name, "json").read_text())


def raw_numbers_table_and_figures_are_there(folder, name):
    found = read(folder, name)
    assert (found["experiment"], found["schema"]) == (name, 1)
    assert found["evidence"] == SCALES["smoke"].evidence
    assert "reproduce all --scale smoke" in found["command"]
    assert len(found["cells"]) >= LEAST_RUNS.get(name, 1)
    assert found["paper"] == list(EXPERIMENTS[name].shows)
    assert all(table["rows"] for table in found["tables"])
    for chart in found["charts"]:
        assert any(y is not None for one in chart["series"] for y in one["y"]), chart["key"]
        for kind in ("svg", "png"):
            assert (folder.figures / f"{chart['key']}.{kind}").stat().st_size > 1000
    text = folder.of(name, "md").read_text()
    for words in (found["title"], "no evidence", *(table["caption"] for table in found["tables"])):
        assert words in text, words


def the_page_holds_all_and_its_links_lead_somewhere(folder):
    text = folder.page.read_text().split('<script type="application/json"', 1)[0]
    for name, experiment in EXPERIMENTS.items():
        assert f'<section id="{name}"' in text
        assert experiment.title in text
    links = set(re.findall(r'href="([^"#:]+)"', text))
    assert len(links) > 60
    for link in links:
        assert (folder.path / link).is_file(), link
    for words in ("no evidence", "not available", "reproduce all --scale smoke", "2311.16141"):
        assert words in text


def numbers_are_those_of_the_runs(folder):
    (_, table) = read(folder, "table-unstructured")["tables"]
    cells = read(folder, "table-unstructured")["cells"]
    places = [table["columns"].index(name) for name in ("method", "removed", "test accuracy, %")]
    rows = [[row[place] for place in places] for row in table["rows"]]
    shown = {
        (method["text"].removesuffix(" [!]"), removed["value"]): mean["value"]
        for method, removed, mean in rows
    }
    assert shown == {(c["method"], c["target_sparsity"]): c["test_accuracy"] for c in cells}
    for cell in cells:
        metrics = read_record(folder.path / cell["run"]).metrics
        assert metrics["pruned"]["test_accuracy"] == cell["test_accuracy"]
        assert metrics["dense"]["test_accuracy"] == cell["dense_test_accuracy"]
    assert len({cell["dense_test_accuracy"] for cell in cells}) == 1  # one dense net


def accuracies_by_epoch_exist_for_figures_4_and_5_alone(folder):
    curved = {cell["run"] for name in ("fig4", "fig5") for cell in read(folder, name)["cells"]}
    assert len(curved) == 4
    for run in folder.cells.glob("[!.]*"):
        record = read_record(run)
        last = record.stage("finetune")[-1]
        if f"cells/{run.name}" not in curved:
            assert "test_accuracy" not in last
            continue
        assert last["test_accuracy"] == record.metrics["pruned"]["test_accuracy"]
        assert "train_accuracy" in last
        assert "nothing was chosen by it" in str(record.metrics["notes"])


def the_next_command_runs_nothing_again(folder, options):
    before = {p: p.stat().st_mtime_ns for p in folder.cells.glob("*/metrics.json")}
    measured = read(folder, "entropy")["measured"]
    assert main(["reproduce", "entropy", "fig4", *options]) == 0
    assert {p: p.stat().st_mtime_ns for p in folder.cells.glob("*/metrics.json")} == before
    assert read(folder, "entropy")["measured"] == measured
    assert '<section id="fig2"' not in folder.page.read_text()
