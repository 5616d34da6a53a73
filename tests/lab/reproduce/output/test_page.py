from dataclasses import replace

from spikeprune.lab.reproduce.output.documents import Folder
from spikeprune.lab.reproduce.output.page import render


def test_the_page_has_every_experiment_and_links_relative_to_its_folder(
    tmp_path, made, circumstances
):
    folder = Folder(tmp_path)
    done, missing = made
    done = replace(done, files=[folder.figures / "chart 1.svg"])
    text = render([done, missing], circumstances, folder).split("<script", 1)[0]
    assert "scale smoke" in text
    assert "No evidence." in text
    for link in ("cost.md", "cost.json", "figures/chart%201.svg"):
        assert f'href="{link}"' in text
    assert "fig2.md" not in text
    assert "Runs without a result: lost-run" in text
    assert "Be careful." in text
    assert "a|b" in text


def test_settings_and_runs_are_listed_once(measured, made, circumstances, tmp_path):
    cells = measured("table-structured").inputs.cells
    both = [replace(one, cells=cells) for one in made]
    text = render(both, circumstances, Folder(tmp_path / "out")).split("<script", 1)[0]
    assert text.count(f"<h3>{cells[0].setting}</h3>") == 1
    for cell in cells:
        assert text.count(f'href="cells/{cell.folder.name}/report.html"') == 1
