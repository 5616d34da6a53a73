from rich.console import Console

from spikeprune.lab.compare import load_comparison
from spikeprune.lab.compare.output.terminal import print_comparison


def printed(config, capsys, width=120):
    print_comparison(Console(width=width), load_comparison(config.folder.path))
    return capsys.readouterr().out.replace("\u00a0", " ")


def test_rows_contrasts_and_notes_in_words(finished, capsys):
    config = finished(
        {"dense": [0.9] * 3, "magnitude": [0.7, 0.72, 0.74], "criticality": [0.75, 0.76, 0.8]},
        pairs=[["criticality", "magnitude"]],
    )
    out = printed(config, capsys)
    assert "72.00 ± 2.00" in out
    assert "criticality − magnitude" in out
    assert "named beforehand" in out
    assert "enough to explore, not to claim" in out
    assert max(map(len, out.splitlines())) <= 120


def test_each_setting_has_a_table(finished, capsys):
    config = finished(
        {"magnitude": [0.7, 0.7], "criticality": [0.7, 0.7 - 1e-9]},
        settings={"one [x]": {}, "two": {}},
        pairs=[["criticality", "magnitude"]],
    )
    out = printed(config, capsys)
    assert out.index("one [x]") < out.index("two")
    first, second = [line for line in out.splitlines() if line.startswith("criticality − magn")]
    assert "one [x]" in first
    assert "two" in second
    assert " 0.00 " in first
    assert "−0.00" not in out


def test_the_rows_that_are_not_dominated(finished, capsys):
    out = printed(finished({"magnitude": [0.7], "criticality": [0.8]}), capsys)
    table = out[out.index("Not dominated in accuracy") :]
    assert "criticality" in table.splitlines()[2]
    assert "magnitude" not in table
