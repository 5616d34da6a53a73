import ast
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest

from spikeprune.errors import RunError
from spikeprune.lab.report import number_words as wording
from spikeprune.lab.report import report as report_module
from spikeprune.lab.report import summary as account
from spikeprune.lab.report.figures.all_figures import figures
from spikeprune.lab.report.figures.training import event_positions
from spikeprune.lab.report.plotly_parts import label
from spikeprune.lab.report.report import render, write_report
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.report.terms import citations

EVIL = "</script><img src=x onerror=alert(1)>"
VARIANTS = {
    "weight": {},
    "channel": {"granularity": "channel", "events": 1},
    "no regrowth": {"method": "magnitude", "regrow": False, "cut": False},
    "no events": {"events": 0, "history": False, "regrow": False, "cut": False},
    "large": {"layers": 22, "events": 39, "classes": 100, "prefix": "net.stage3.block12.conv_bn"},
}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, *names):
        return [attrs for tag, attrs in self.found if tag in names]


@pytest.fixture(params=VARIANTS)
def record(request, fake_run, tmp_path):
    return read_record(fake_run(**VARIANTS[request.param]).write(tmp_path))


@pytest.fixture
def plain(fake_run, tmp_path):
    return read_record(fake_run().write(tmp_path))


def drawn(record):
    return {figure.key: figure for figure in figures(record)}


def resolved(value, key=""):
    """Colours by name stand for those of the style sheet."""
    if isinstance(value, dict):
        return {k: resolved(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(v, key) for v in value]
    named = isinstance(value, str) and value.startswith("@") and "color" in key
    return "#123456" if named else value


def changed(record, **parts):
    metrics = {**record.metrics, **parts}
    return replace(record, metrics=metrics, dense=metrics["dense"], pruned=metrics["pruned"])


# --- the file -------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_file_that_asks_the_network_for_nothing(variant, fake_run, tmp_path):
    fake_run(**VARIANTS[variant]).write(tmp_path)
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
    assert "url(" not in (Path(report_module.__file__).parent / "templates/report.css").read_text()


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


def test_it_reads_the_folder_only():
    folder = Path(report_module.__file__).parent
    own = [folder / f"{name}.py" for name in ("report", "record", "account", "references")]
    for path in [*own, folder / "chart.py", folder / "wording.py", *folder.glob("figures*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("spikeprune"):
                assert node.module == "spikeprune.errors" or node.module.startswith(
                    "spikeprune.lab"
                ), f"{path.name} imports {node.module}"


def test_what_the_user_named_stays_text(fake_run, tmp_path):
    run = fake_run(prefix=EVIL, class_names=(EVIL, "a & b", "<b>bold</b>"), method=EVIL)
    record = read_record(run.write(tmp_path))
    metrics = {**record.metrics, "notes": [EVIL], "command": EVIL}
    text = render(replace(record, metrics=metrics, config=EVIL))
    tags = Tags(text)
    assert tags.named("img", "b") == []
    assert len(tags.named("script")) == 3
    data = re.search(r'id="figure-data">(.*?)</script>', text).group(1)
    ticks = json.loads(data)["classes"]["layout"]["yaxis"]["ticktext"]
    assert "a &amp; b" in ticks  # Plotly reads a few tags and entities in any text
    assert "&lt;b&gt;bold&lt;/b&gt;" in ticks


def test_numbers_that_json_cannot_hold_become_gaps(plain):
    pruned = {**plain.pruned, "test_accuracy": float("nan"), "energy_nj_per_sample": float("inf")}
    pruned["layers"] = [{**row, "synops": float("nan")} for row in pruned["layers"]]
    text = render(changed(plain, pruned=pruned, criticality={"a": [float("nan"), 0.5]}))
    data = re.search(r'id="figure-data">(.*?)</script>', text).group(1)
    assert "NaN" not in data
    assert "Infinity" not in data
    assert json.loads(data)["criticality"]["data"][0]["x"] == [0.5]


# --- the account ----------------------------------------------------------------------------


def test_the_latency_of_the_event_driven_net_stands_beside(fake_run, tmp_path):
    record = read_record(fake_run().write(tmp_path))
    (card,) = (c for c in account.cards(record) if c.label == "Latency")
    assert "event-driven" not in card.note
    record.metrics["event_driven"] = {"latency_ms": {"b1": 1.25, "b32": 40.0}}
    (card,) = (c for c in account.cards(record) if c.label == "Latency")
    assert "event-driven, batch of 1: 1.25 ms" in card.note


def test_the_headline_tells_what_got_worse(fake_run, tmp_path):
    record = read_record(fake_run(synops_factor=1.31).write(tmp_path))
    cards = {card.label: card for card in account.cards(record)}
    assert cards["SynOps"].verdict == "worse"
    assert "31.0" in cards["SynOps"].delta
    assert "more" in cards["SynOps"].delta
    assert cards["Energy"].verdict == "worse"
    assert cards["Test accuracy"].verdict == "worse"
    assert cards["Test accuracy"].delta.startswith("−0.85")
    assert cards["Non-zero parameters"].verdict == "better"
    assert cards["Latency"].verdict == "same"
    assert "SynOps rose to 131\u00a0% of dense" in account.headline(record)
    assert "0.85\u00a0points below the dense one" in account.headline(record)


def test_a_better_net_is_called_better(plain):
    record = changed(plain, pruned={**plain.pruned, "test_accuracy": 0.9})
    card = account.cards(record)[0]
    assert (card.verdict, card.delta) == ("better", "+1.03\u00a0points")
    assert "above the dense one" in account.headline(record)
    same = changed(plain, pruned={**plain.pruned, "test_accuracy": 0.8897})
    assert account.cards(same)[0].verdict == "same"
    assert "as accurate as" in account.headline(same)


def test_what_was_not_measured_says_so(plain):
    record = changed(plain, dense={}, pruned={}, cost={}, regrowth={}, cut={}, criticality={})
    assert {card.verdict for card in account.cards(record)} == {"unknown"}
    assert {card.delta for card in account.cards(record)} == {"not measured"}
    assert "not measured" in account.headline(record)
    assert account.layer_table(record) == (["layer", "operand"], [])
    text = render(record)
    assert text.count("Nothing to draw.") == 5  # cut, criticality, firing, SynOps, classes
    assert "metrics.json holds no row per layer" in text


def test_facts_and_cost(plain):
    facts = dict(account.facts(plain))
    assert facts["Data"] == "Fashion-MNIST (fashion-mnist)"
    assert facts["Net"] == "vgg-small (neuron=lif, reset=hard)"
    assert facts["Target"] == "90 % fewer weights"
    assert facts["Seed"] == "0"
    assert "computed once a sample" in facts["First layer"]
    cost = {term: row for term, *row in account.cost_rows(plain)}
    assert cost["Pruning epochs"] == ["–", "6"]
    assert cost["Total epochs"] == ["10", "10"]
    assert cost["Training FLOPs, sparse-aware"] == ["–", "39.0\u00a0T"]
    assert account.title(plain) == "vgg-small on Fashion-MNIST, 90 % fewer weights"
    assert account.title(changed(plain, target={})) == "vgg-small on Fashion-MNIST"


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


@pytest.mark.parametrize(
    ("method", "config", "cited"),
    [
        ("criticality", "schedule: cubic\n", "1710.01878"),
        ("criticality", "schedule: linear\nregrow: gradient\n", "1911.11134"),
        ("magnitude", "saliency: crisis\n", "2305.12148"),
        ("magnitude", "allocation: erk\n", "1911.11134"),
        ("granet", "", "2106.10404"),
        ("rigl", "", "1911.11134"),
        ("gradient-regrow", "", "1911.11134"),
        ("random-regrow", "", "1707.04780"),
        ("IMP", "", "2207.01382"),
        ("snip", "", "1810.02340"),
    ],
)
def test_citations_follow_what_was_run(plain, method, config, cited):
    record = replace(changed(plain, method=method), config=config)
    addresses = [address for _, address in citations(record)]
    assert addresses[0] == "https://arxiv.org/abs/2311.16141"
    assert any(cited in address for address in addresses)
    gradual = method not in ("rigl", "IMP", "snip") and "linear" not in config
    assert ("1710.01878" in " ".join(addresses)) == gradual
    assert len(set(addresses)) == len(addresses)


def test_channel_runs_cite_slimming(fake_run, tmp_path):
    record = read_record(fake_run(granularity="channel").write(tmp_path))
    assert any("Slimming" in text for text, _ in citations(record))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.amount(1_234_567), "1.23 M"),
        (wording.amount(999), "999"),
        (wording.amount(999_999), "1.00 M"),
        (wording.amount(0), "0"),
        (wording.amount(0.0123), "0.0123"),
        (wording.amount(5.5e5, "MACs"), "550 k MACs"),
        (wording.amount(None), "not measured"),
        (wording.amount(float("nan")), "not measured"),
        (wording.amount(True), "not measured"),
        (wording.energy(3961.2), "3.96 µJ"),
        (wording.energy(12.0), "12.0 nJ"),
        (wording.energy(None), "not measured"),
        (wording.percent(0.5, 0), "50 %"),
        (wording.points(0.0), "±0.00 points"),
        (wording.change(10, 1), "10.0× fewer"),
        (wording.change(10, 13), "30.0 % more"),
        (wording.change(10_000, 9_999), "under 0.1 % fewer"),
        (wording.change(3, 3), "unchanged"),
        (wording.change(3, 0), "all fewer"),
        (wording.change(0, 3), "more (from none)"),
        (wording.duration(5.12), "5.1 s"),
        (wording.duration(151.2), "2 min 31 s"),
        (wording.duration(11_520), "3 h 12 min"),
        (wording.duration(None), "not measured"),
        (wording.size(1_430_000_000), "1.33 GiB"),
        (wording.size(100), "100 B"),
        (wording.size(None), "not measured"),
    ],
)
def test_numbers_in_words(text, expected):
    assert text.replace("\u00a0", " ") == expected


# --- the figures ----------------------------------------------------------------------------


def test_every_figure_is_drawn_or_says_why(record):
    found = figures(record)
    assert len({figure.key for figure in found}) == len(found) == 10
    for figure in found:
        assert figure.title
        assert figure.caption
        assert (figure.spec is None) == bool(figure.reason)


def test_plotly_knows_every_attribute(record):
    for figure in figures(record):
        if figure.spec:
            go.Figure(resolved(figure.spec))


def test_every_colour_is_in_both_palettes(record):
    css = (Path(report_module.__file__).parent / "templates" / "report.css").read_text()
    light, dark = re.findall(r"\{([^{}]*--paper:[^{}]*)\}", css)
    used = set(re.findall(r'"@([\w-]+)"', json.dumps([figure.spec for figure in figures(record)])))
    assert {"ink", "muted", "grid"} <= used
    for palette in (light, dark):
        assert used <= set(re.findall(r"--([\w-]+):", palette))


def test_regrowth_shares_and_survival(plain):
    heat = drawn(plain)["regrowth"].spec["data"][0]
    assert len(heat["z"]) == 6
    for column in zip(*heat["z"], strict=True):
        assert sum(column) == pytest.approx(100, abs=0.05)
    line, dropped, dead = drawn(plain)["survival"].spec["data"]
    assert line["y"][0] is None
    assert [a + b for a, b in zip(dropped["y"], dead["y"], strict=True)] == [
        event["regrown"] for event in plain.events
    ]


def test_density_splits_kept_from_regrown(plain):
    kept, grown = drawn(plain)["density"].spec["data"]
    for one, two, row in zip(
        kept["x"], grown["x"], plain.events[-1]["layers"].values(), strict=True
    ):
        assert one + two == pytest.approx(100 * row["live"] / row["total"])
        assert two == pytest.approx(100 * row["regrown"] / row["total"])


def test_one_event_has_no_survival_and_no_regrowth_has_a_reason(fake_run, tmp_path):
    one = drawn(read_record(fake_run(events=1).write(tmp_path / "one")))["survival"]
    assert [trace["type"] for trace in one.spec["data"]] == ["bar", "bar"]
    assert "two events" in one.spec["layout"]["annotations"][0]["text"]
    none = drawn(read_record(fake_run(regrow=False).write(tmp_path / "none")))
    assert "any of its 8 events" in none["regrowth"].reason
    assert "scored no channel" in none["criticality"].reason
    assert "no pruning event" in drawn(RunRecord(fake_run(events=0).metrics()))["survival"].reason


def test_risen_synops_and_channels_that_stay_are_named(fake_run, tmp_path):
    record = read_record(fake_run(synops_factor=1.31).write(tmp_path))
    cut = {**record.metrics["cut"], "kept_though_inputs_dead": ["features.0:3"]}
    found = drawn(changed(record, cut=cut))
    assert "in 6 of 6 layers, most so in features.0 (+279\u00a0k" in found["synops"].summary
    assert "1 stay though all their inputs are dead" in found["cut"].summary
    assert "2.4e-07" in found["cut"].caption


def test_events_without_layers_still_tell_density_and_survival(plain):
    events = tuple({**event, "layers": {}} for event in plain.events)
    found = drawn(replace(plain, events=events))
    assert "per layer" in found["regrowth"].reason
    assert "cannot be told apart" in found["density"].caption
    assert found["survival"].spec


def test_classes_are_sorted_and_many_are_shortened(fake_run, tmp_path):
    few = drawn(read_record(fake_run().write(tmp_path / "few")))["classes"].spec["data"][0]["x"]
    assert few == sorted(few)
    assert len(few) == 10
    record = read_record(fake_run(classes=100).write(tmp_path / "many"))
    many = drawn(record)["classes"]
    assert len(many.spec["data"][0]["x"]) == 25
    assert "… 76 classes …" in many.spec["layout"]["yaxis"]["ticktext"]
    assert render(record).count('<th scope="row">class ') == 100


def test_training_curves_and_where_events_lie(plain):
    spec = drawn(plain)["accuracy"].spec
    assert [trace["name"] for trace in spec["data"]] == ["dense", "pruned", "density"]
    assert spec["data"][1]["x"] == list(range(1, 11))
    assert spec["data"][2]["yaxis"] == "y2"
    assert spec["data"][2]["x"] == sorted(spec["data"][2]["x"])
    assert len(spec["layout"]["shapes"]) == 8 + 1
    positions = event_positions(plain)
    assert positions == sorted(positions)
    assert len(set(positions)) == 8
    at = [{"epoch": epoch} for epoch in (1, 1, 2.5)]
    assert event_positions(replace(plain, events=tuple(at))) == [0.5, 1.0, 2.5]


def test_a_missing_history_is_named(plain):
    epochs = tuple(row for row in plain.epochs if row["stage"] != "dense")
    accuracy = drawn(replace(plain, epochs=epochs))["accuracy"]
    assert "No history of the dense net" in accuracy.caption
    assert "no epoch" in drawn(replace(plain, epochs=()))["loss"].reason


def test_long_names_keep_their_tail():
    assert label("features.0") == "features.0"
    assert label("module.backbone.stage3.block12.conv1").endswith("block12.conv1")
    assert len(label("x" * 100)) == 22


# --- the folder -----------------------------------------------------------------------------


def test_the_dense_history_may_lie_in_its_own_folder(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    dense = [line for line in lines if '"dense"' in line]
    (folder / "dense").mkdir()
    (folder / "dense" / "history.jsonl").write_text("".join(dense))
    (folder / "history.jsonl").write_text("".join(lines[len(dense) :]))
    assert len(read_record(folder).stage("dense")) == 10


def test_events_come_from_the_history_when_the_metrics_have_none(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "regrowth": None}))
    assert len(read_record(folder).events) == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"does not exist; finish the run first"),
        ("{", "not valid JSON"),
        ("[]", "no schema number"),
        ("{}", "no schema number"),
        ('{"schema": 2}', r"schema 2.*reads up to 1.*pip install --upgrade"),
        ('{"schema": 1, "method": "x"}', "lacks granularity, data, model, dense, pruned"),
    ],
)
def test_what_is_no_finished_run_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(RunError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_broken_history_is_refused_and_a_torn_end_is_not(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    history = folder / "history.jsonl"
    whole = history.read_text()
    history.write_text(whole + '{"kind": "ep')
    assert len(read_record(folder).epochs) == 20
    history.write_text("oops\n" + whole)
    with pytest.raises(RunError, match="line 1 of"):
        read_record(folder)
