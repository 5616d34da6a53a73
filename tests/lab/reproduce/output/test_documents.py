import json
from dataclasses import asdict

from spikeprune.lab.reproduce.output.documents import Folder, write_experiment


def test_json_markdown_and_figures_of_an_experiment(tmp_path, made, circumstances):
    folder = Folder(tmp_path)
    files = write_experiment(made[0], folder, circumstances)
    assert files == [folder.figures / "chart.svg", folder.figures / "chart.png"]
    assert all(file.is_file() for file in files)
    values = json.loads(folder.of("cost", "json").read_text())
    assert (values["schema"], values["experiment"], values["cells"]) == (1, "cost", [])
    facts = asdict(circumstances) | {"seeds": [0, 1]}
    assert {name: values[name] for name in facts} == facts
    assert values["tables"][0]["rows"][1][2] == {"text": "1", "value": 1}
    assert values["charts"][0]["key"] == "chart"
    assert values["measured"] == {"value": None}  # JSON has no NaN


def test_the_markdown_says_how_far_to_trust_it(tmp_path, made, circumstances):
    folder = Folder(tmp_path)
    write_experiment(made[0], folder, circumstances)
    text = folder.of("cost", "md").read_text()
    assert text.startswith("# Pruning cost\n\nNo evidence. `spikeprune reproduce cost`\n\n")
    assert "\n\n## All\n\n| setting | method | n |\n| --- | --- | --- |\n" in text
    assert "\n| x | a\\|b | 0 |\n" in text
    assert text.endswith("\n\n## Notes\n\n- Be careful.\n")
