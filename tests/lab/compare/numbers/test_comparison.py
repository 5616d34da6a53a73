from dataclasses import replace

from spikeprune.lab.compare import load_comparison
from spikeprune.lab.compare.numbers.comparison import Comparison


def notes(**fields):
    return " ".join(Comparison(**fields).notes)


def test_notes_on_seeds_selection_and_unfinished_cells(finished):
    config = finished({"magnitude": [0.7], "criticality": [0.8]})
    cells = load_comparison(config.folder.path).cells
    assert "A row of one seed has no spread." in notes(cells=cells)
    assert "1 seed at most: enough to explore" in notes(cells=cells)
    assert "on the validation set, to choose by" in notes(cells=cells, select="validation")
    missing = notes(cells=cells, missing=["x", "y"], failed={"y": "no memory"})
    assert "y failed: no memory" in missing
    assert "1 not finished: x" in missing
    many = notes(cells=cells, missing=[f"cell{n}" for n in range(9)])
    assert "9 not finished: cell0, cell1, cell2, cell3, cell4, cell5 and 3 more" in many


def test_rows_of_different_numbers_of_seeds_are_noted(finished):
    config = finished({"magnitude": [0.7, 0.8, 0.9], "criticality": [0.8]})
    assert "Rows have from 1 to 3 seeds." in load_comparison(config.folder.path).notes


def test_ten_seeds_need_no_warning(finished):
    config = finished({"magnitude": [0.7] * 10})
    (mark,) = load_comparison(config.folder.path).notes
    assert mark.startswith("* marks the costs in which a row is not dominated")


def test_differences_come_first_with_their_numbers(finished):
    cells = load_comparison(finished({"magnitude": [0.7, 0.8]}).folder.path).cells
    facts = {**cells[1].facts, "threads": "7", "device": "cuda"}
    changed = Comparison([cells[0], replace(cells[1], facts=facts)])
    first, second, *_ = changed.notes
    assert first.startswith("[1] The runs differ in device: ")
    assert second.startswith("[2] The runs differ in threads: ")


def test_contrasts_are_those_of_the_selected_accuracy(finished):
    config = finished(
        {"magnitude": [0.7, 0.8], "criticality": [0.8, 0.8]},
        select="validation",
        explore=[["criticality", "magnitude"]],
    )
    found = load_comparison(config.folder.path)
    (contrast,) = found.contrasts
    assert (contrast.value, contrast.named) == ("validation_accuracy", False)
    assert [round(x, 9) for x in contrast.differences] == [0.05, 0.0]
    assert found.settings == ["digits, vgg-small"]
