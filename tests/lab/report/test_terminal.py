import io
from pathlib import Path

from rich.console import Console

from spikeprune.lab.report.terminal import (
    methods_markdown,
    methods_table,
    print_data,
    print_values,
    recipes_table,
)
from spikeprune.pruning.criteria.of_channels import CHANNEL_REGROWTH, CHANNEL_SALIENCY
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.method_rows import METHODS
from spikeprune.science.schedule import FRACTIONS, SCHEDULES


def printed(show):
    stream = io.StringIO()
    show(Console(file=stream, width=240))
    return stream.getvalue().replace("\xa0", " ")


def test_every_method_and_recipe_is_listed():
    text = printed(lambda console: console.print(methods_table()))
    words = " ".join(text.split())
    for method in METHODS:
        assert method.name in words
        assert " ".join(method.formula.split()) in words
        assert method.source in words
    assert "grow max S_post (r = 0.2)" in words
    assert "grow max S (r = 0.05)" in words
    assert "Fashion-MNIST" in printed(lambda console: console.print(recipes_table()))


def test_the_page_of_methods_shows_the_registry():
    page = (Path(__file__).parents[3] / "docs" / "methods.md").read_text(encoding="utf-8")
    assert methods_markdown() in page, (
        "replace its table by spikeprune.lab.report.terminal.methods_markdown()"
    )
    for table in (SALIENCY, REGROWTH, CHANNEL_SALIENCY, CHANNEL_REGROWTH, SCHEDULES, FRACTIONS):
        for name in table:
            assert f"`{name}`" in page, f"docs/methods.md does not name {name}"


def test_data_says_where_it_looked(tmp_path):
    text = printed(lambda console: print_data(console, str(tmp_path)))
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "scikit-learn" in text
    assert "not found" in text
    assert "module:callable" in lines


def test_values_of_any_shape_are_printed():
    values = {
        "parameters": 123456,
        "test_accuracy": 0.8712,
        "dense_macs": 12345678,
        "memory_bytes": 2048,
        "epoch_seconds": 75.0,
        "step_seconds": 0.0123,
        "names": ["a", "b"],
        "missing": None,
        "static": True,
        "empty": {},
        "cut": {"channels": 3, "deep": {"x": 1.5}},
        "layers": [{"name": "conv1", "density": 0.5}, {"name": "conv2", "density": None}],
    }
    text = printed(lambda console: print_values(console, values))
    shown = "123,456|87.12 %|12.3 M|2.00 KiB|1 min 15 s|12.3 ms|a, b|–|True"
    shown += "|cut deep|1.5|conv1|50.00 %"
    for words in shown.split("|"):
        assert words in text, words
