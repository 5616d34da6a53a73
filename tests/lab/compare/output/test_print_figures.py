import xml.etree.ElementTree as ElementTree

import pytest

from spikeprune.lab.compare import load_comparison
from spikeprune.lab.compare.numbers.curves import AXES
from spikeprune.lab.compare.output.print_figures import new_figure, plain, save_figure, write_prints


@pytest.fixture
def comparison(finished):
    """Two sparsities and two seeds of two methods."""
    config = finished(
        {"dense": [0.9, 0.9], "magnitude": [0.7, 0.8], "criticality": [0.75, 0.8]},
        sparsities=[0.9, 0.8],
    )
    return load_comparison(config.folder.path), config.folder


def test_prints_are_whole_vector_files_and_the_same_each_time(comparison):
    found, folder = comparison
    files = write_prints(found, folder)
    assert [file.name for file in files] == [
        f"accuracy-{axis.key}.{kind}" for axis in AXES for kind in ("svg", "pdf")
    ]
    drawing = ElementTree.parse(files[2]).getroot()
    assert drawing.tag.endswith("svg")
    assert len(drawing.findall(".//*[@id='legend_1']")) == 1
    assert files[3].read_bytes().startswith(b"%PDF")
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_prints(found, folder)] == before
    assert {path.name for path in folder.figures.iterdir()} == {file.name for file in files}


def test_every_setting_has_its_own_files(finished):
    config = finished({"magnitude": [0.7]}, settings={"a b": {}, "c": {}})
    files = write_prints(load_comparison(config.folder.path), config.folder)
    assert {file.stem for file in files} == {
        f"accuracy-{axis.key}-{setting}" for axis in AXES for setting in ("a-b", "c")
    }


def test_without_a_pruning_run_there_is_nothing_to_draw(finished):
    config = finished({"dense": [0.9]})
    assert write_prints(load_comparison(config.folder.path), config.folder) == []


def test_a_failed_drawing_leaves_the_old_file(tmp_path):
    path = tmp_path / "figures" / "a.svg"
    figure, axes = new_figure((2, 2))
    save_figure(figure, path)
    before = path.read_bytes()
    axes.set_title("$\\broken{$")  # no formula of matplotlib
    with pytest.raises(ValueError, match="broken"):
        save_figure(figure, path)
    assert path.read_bytes() == before


def test_names_are_no_formulas():
    assert plain("costs $5") == r"costs \$5"
