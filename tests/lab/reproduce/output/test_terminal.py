from rich.console import Console

from spikeprune.lab.reproduce.output.terminal import print_experiments


def test_every_experiment_with_a_table_per_setting(made, capsys):
    print_experiments(Console(width=200), made)
    out = capsys.readouterr().out
    assert "Pruning cost" in out
    first, second = out.index("\nAll: x\n"), out.index("\nAll: y\n")
    assert first < second
    rows = out[first:second].splitlines()
    assert [line.split() for line in rows if line.startswith("a|b")] == [["a|b", "0"], ["a|b", "2"]]
    assert "not made; runs without a result: lost-run" in out[second:]
