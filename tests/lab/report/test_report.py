import ast
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest

from spikeprune.lab.report import report as report_module
from spikeprune.lab.report.report import figures, render, write_report
from spikeprune.lab.report.run_record import read_record

HERE = Path(report_module.__file__).parent
EVIL = "</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, *names):
        return [attrs for tag, attrs in self.found if tag in names]


def all_figures(record):
    return [figure for section in figures(record).values() for figure in section]


def resolved(value, key=""):
    """Colours by name stand for those of the style sheet."""
    if isinstance(value, dict):
        return {k: resolved(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(v, key) for v in value]
    named = isinstance(value, str) and value.startswith("@") and "color" in key
    return "#123456" if named else value


def data_of(page):
    return json.loads(re.search(r'id="figure-data">(.*?)</script>', page).group(1))


# --- the file -------------------------------------------------------------------------------


def test_one_file_that_asks_the_network_for_nothing(any_run, tmp_path):
    any_run.write(tmp_path)
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 6_000_000
    assert len(re.findall(r"plotly\.js v\d", text)) == 1

    tags = Tags(text)
    outside = ("img", "iframe", "object", "embed", "audio", "video", "source", "base", "form")
    assert tags.named(*outside) == []
    assert len(tags.named("script")) == 3
    assert not any("src" in attrs for attrs in tags.named("script"))
    assert [attrs["href"] for attrs in tags.named("link")] == ["data:,"]
    policy = next(attrs for attrs in tags.named("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy["content"]
    assert "url(" not in (HERE / "templates/report.css").read_text()


def test_writing_again_replaces_and_leaves_nothing_behind(fake_run, tmp_path, monkeypatch):
    folder = fake_run().write(tmp_path)
    before = {path.name for path in folder.iterdir()}
    write_report(folder)
    first = (folder / "report.html").read_bytes()
    assert write_report(folder).read_bytes() == first
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}

    def fail(record):
        raise RuntimeError("no report today")

    monkeypatch.setattr(report_module, "render", fail)
    with pytest.raises(RuntimeError):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == first


def test_a_report_needs_no_model_code():
    allowed = (
        "spikeprune.errors",
        "spikeprune.files",
        "spikeprune.lab",
        "spikeprune.manifest",
        "spikeprune.pruning",
        "spikeprune.science.cost",
    )
    files = [path for path in HERE.rglob("*.py") if path.name != "terminal.py"]
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("spikeprune"):
                assert node.module.startswith(allowed), f"{path.name} imports {node.module}"


def test_what_the_user_named_stays_text(fake_run, tmp_path):
    run = fake_run(prefix=EVIL, class_names=(EVIL, "a & b", "<b>bold</b>"), method=EVIL)
    record = read_record(run.write(tmp_path))
    metrics = {**record.metrics, "notes": [EVIL], "command": EVIL}
    text = render(replace(record, metrics=metrics, config=EVIL))
    tags = Tags(text)
    assert tags.named("img", "b") == []
    assert len(tags.named("script")) == 3
    ticks = data_of(text)["classes"]["layout"]["yaxis"]["ticktext"]
    assert "a &amp; b" in ticks  # Plotly reads a few tags and entities in any text
    assert "&lt;b&gt;bold&lt;/b&gt;" in ticks


def test_numbers_that_json_cannot_hold_become_gaps(plain):
    pruned = {**plain.pruned, "test_accuracy": float("nan"), "energy_nj_per_sample": float("inf")}
    pruned["layers"] = [{**row, "synops": float("nan")} for row in pruned["layers"]]
    scores = {"a": [float("nan"), 0.5]}
    metrics = {**plain.metrics, "pruned": pruned, "criticality": scores}
    text = render(replace(plain, metrics=metrics))
    assert data_of(text)["criticality"]["data"][0]["x"] == [0.5]
    assert "NaN" not in json.dumps(data_of(text))


def test_the_page_shows_command_configuration_notes_and_constants(fake_run, tmp_path):
    text = write_report(fake_run().write(tmp_path)).read_text(encoding="utf-8")
    for part in (
        "spikeprune run --data fashion-mnist",
        "regrow: criticality",
        "Latency was measured with 2 threads",
        "4.6 pJ per MAC and 0.9 pJ per AC (45 nm, fp32)",
        "A model, not a measurement",
        "2311.16141",
    ):
        assert part in text


def test_a_run_without_measurements_still_has_a_page(plain):
    empty = {"dense": {}, "pruned": {}, "cost": {}, "regrowth": {}, "cut": {}, "criticality": {}}
    text = render(replace(plain, metrics={**plain.metrics, **empty}))
    assert text.count("Nothing to draw.") == 5  # cut, criticality, firing, SynOps, classes
    assert "metrics.json holds no row per layer" in text


def test_every_class_stands_in_the_table_of_classes(record_of):
    text = render(record_of(classes=100))
    assert text.count('<th scope="row">class ') == 100


# --- the figures ----------------------------------------------------------------------------


def test_every_figure_is_drawn_or_says_why(any_record):
    found = all_figures(any_record)
    assert len({figure.key for figure in found}) == len(found) == 10
    for figure in found:
        assert figure.title
        assert figure.caption
        assert (figure.spec is None) == bool(figure.reason)


def test_plotly_knows_every_attribute(any_record):
    for figure in all_figures(any_record):
        if figure.spec:
            go.Figure(resolved(figure.spec))


def test_every_colour_is_in_both_palettes(any_record):
    css = (HERE / "templates" / "report.css").read_text()
    light, dark = re.findall(r"\{([^{}]*--paper:[^{}]*)\}", css)
    specs = json.dumps([figure.spec for figure in all_figures(any_record)])
    used = set(re.findall(r'"@([\w-]+)"', specs))
    assert {"ink", "muted", "grid"} <= used
    for palette in (light, dark):
        assert used <= set(re.findall(r"--([\w-]+):", palette))


def test_a_dead_net_has_a_box_at_the_top_and_no_badge(plain):
    assert 'class="warning"' not in render(plain)
    pruned = {**plain.pruned, "warnings": ["no neuron of <a> fires on the data"]}
    page = render(replace(plain, metrics={**plain.metrics, "pruned": pruned}))
    box = page.index('<aside class="warning"')
    assert box < page.index('<section id="result"')
    assert "The pruned net: no neuron of &lt;a&gt; fires on the data." in page[box:]
    assert "✓ better" not in page
