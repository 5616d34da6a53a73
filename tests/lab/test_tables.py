import io

from rich.console import Console

from spikeprune.lab.tables import methods_table, print_data, print_values, recipes_table


def printed(show):
    stream = io.StringIO()
    show(Console(file=stream, width=120))
    return stream.getvalue().replace("\xa0", " ")


def test_every_method_and_recipe_is_listed():
    text = printed(lambda console: console.print(methods_table()))
    assert "criticality, 0.2" in text
    assert "criticality, 0.05" in text
    assert "dense" in text
    assert "Fashion-MNIST" in printed(lambda console: console.print(recipes_table()))


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
    for words in (
        *("123,456", "87.12 %", "12.3 M", "2.00 KiB", "1 min 15 s", "12.3 ms", "a, b", "–", "True"),
        *("cut deep", "1.5", "conv1", "50.00 %"),
    ):
        assert words in text, words
