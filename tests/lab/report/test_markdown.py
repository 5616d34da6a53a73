import pytest

from spikeprune.lab.report.markdown import table


def test_rows_stand_below_header_and_rule():
    text = table(("net", "seeds"), iter([("dense", "3"), ("pruned", "")]))
    assert text == "| net | seeds |\n| --- | --- |\n| dense | 3 |\n| pruned |  |"


def test_a_pipe_in_a_cell_or_a_title_starts_no_column():
    assert table(("|w|",), [("a | b",)]) == "| \\|w\\| |\n| --- |\n| a \\| b |"


def test_columns_are_aligned_by_letter():
    assert table(("a", "b", "c"), [], "lcr") == "| a | b | c |\n| :--- | :---: | ---: |"


@pytest.mark.parametrize(("rows", "align"), [([("1",)], ""), ([("1", "2")], "l")])
def test_a_row_of_another_length_is_refused(rows, align):
    with pytest.raises(ValueError, match="expected 2 cells"):
        table(("a", "b"), rows, align)
