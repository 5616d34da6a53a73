import json
import re
import shutil
from pathlib import Path

import pytest

from spikeprune.cli import main
from spikeprune.errors import ConfigError, RunError
from spikeprune.files import read_json
from spikeprune.lab.analysis import analyze
from spikeprune.manifest import NAME, write_manifest


def test_one_run_from_the_command_line(finished, tmp_path, capsys):
    shutil.copytree(finished["weight"], tmp_path / "run")
    assert main(["analyze", str(tmp_path / "run"), "--samples", "60"]) == 0
    said = capsys.readouterr()
    assert "run: dense net" in said.err
    for words in ("entropy, pruned net", "features", "where regrowth went", "SynOps"):
        assert words in said.out
    assert said.out.rstrip().endswith(f"analysis: {tmp_path / 'run' / 'analysis.html'}")
    found = read_json(tmp_path / "run" / "analysis.json")
    assert found["pair"] is None
    (run,) = found["runs"]
    assert run["nets"].keys() == {"untrained", "dense", "pruned"}
    assert run["nets"]["pruned"]["features"]["samples"] == {"train": 60, "test": 60}
    assert run["nets"]["dense"]["entropy"]["samples"] == 60
    metrics = read_json(finished["weight"] / "metrics.json")
    assert run["test_accuracy"]["pruned"] == metrics["pruned"]["test_accuracy"]
    page = (tmp_path / "run" / "analysis.html").read_text()
    assert page.startswith("<!doctype html>")
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(?!data:)", page)


def test_two_runs_from_the_command_line(finished, tmp_path, capsys):
    args = ["analyze", str(finished["channel"]), str(finished["channel-random"])]
    assert main([*args, "--out", str(tmp_path / "x"), "--samples", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == read_json(tmp_path / "x" / "analysis.json")
    assert [run["method"] for run in found["runs"]] == ["criticality", "random"]
    assert found["pair"]["importance"]["only_a"]["channels"] > 0
    page = (tmp_path / "x" / "analysis.html").read_text()
    assert "A: channel against B: channel-random" in page
    assert page.count('class="plot"') == 4 + 2 * 11 - 1  # B, cut at random, brought nothing back
    assert main([*args, "--out", str(tmp_path / "x"), "--files_only"]) == 0
    assert "The masks of A and B overlap by" in " ".join(capsys.readouterr().out.split())


def test_files_alone_need_no_data(finished, tmp_path):
    found, page = analyze([finished["weight"], finished["other"]], out=tmp_path, files_only=True)
    assert all("nets" not in run for run in found["runs"])
    assert found["runs"][0]["regrowth"]["regrown"] > 0
    assert {row["quantity"] for row in found["pair"]["refused"]} >= {"overlap of masks"}
    text = page.read_text()
    assert "Not available" in text
    assert "Not measured: the nets were not run." in text


def test_two_runs_go_beside_the_first(finished, tmp_path):
    for name in ("dense", "weight"):
        shutil.copytree(finished[name], tmp_path / name)
    found, page = analyze([tmp_path / "dense", tmp_path / "weight"], files_only=True)
    assert page == tmp_path / "analysis_dense_weight" / "analysis.html"
    assert found["runs"][0]["sparsity"] is None
    assert found["runs"][0]["regrowth"] is None


def test_the_same_again_gives_the_same(finished, tmp_path):
    first, _ = analyze([finished["dense"]], out=tmp_path / "a", samples=40)
    again, _ = analyze([finished["dense"]], out=tmp_path / "b", samples=40)
    assert first == again
    assert first["runs"][0]["nets"].keys() == {"untrained", "dense"}


def test_bad_input(finished, tmp_path, capsys):
    with pytest.raises(ConfigError, match="one or two"):
        analyze([])
    with pytest.raises(ConfigError, match="at least 1"):
        analyze([finished["weight"]], samples=0)
    with pytest.raises(RunError, match=r"config\.yaml"):
        analyze([tmp_path])
    assert main(["analyze"]) == 2
    assert "FOLDER is missing" in capsys.readouterr().err
    assert main(["analyze", str(finished["weight"]), str(tmp_path)]) == 1
    shutil.copytree(finished["weight"], tmp_path / "half")
    (tmp_path / "half" / "metrics.json").unlink()
    with pytest.raises(RunError, match="finished run"):
        analyze([tmp_path / "half"])
    assert not (tmp_path / "half" / "analysis.json").exists()


def test_names_of_the_user_s_cannot_break_the_page(finished, tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    shutil.copytree(finished["weight"], tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["data"]["classes"][0] = evil
    metrics["data"]["label"] = evil
    path.write_text(json.dumps(metrics))
    names = json.loads((tmp_path / "run" / NAME).read_text())["files"]
    write_manifest(tmp_path / "run", names, {})
    _, page = analyze([tmp_path / "run"], files_only=True)
    assert "<img" not in page.read_text()


def keys(value):
    """Every key below `value`, but not the names of layers that `channels` is by."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            by_layer = key == "channels" and isinstance(below, dict)
            yield from keys(list(below.values()) if by_layer else below)
    elif isinstance(value, list):
        for one in value:
            yield from keys(one)


def test_every_key_is_documented(finished, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text()
    documented = set(re.findall(r"`([^`\n]+)`", page))
    pairs = [("channel", "channel-random"), ("weight", "other")]
    found = [
        analyze([finished[name] for name in pair], out=tmp_path, samples=20)[0] for pair in pairs
    ]
    assert set(keys(found)) - documented == set()
