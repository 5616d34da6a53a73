import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.reproduce.scales import SCALES, Setting, scale_by_name
from spikeprune.lab.settings.recipes import read_recipe


def test_the_options_of_a_setting_replace_whole_fields_of_its_recipe():
    recipe = read_recipe("smoke")
    values = Setting("short", "smoke", {"epochs": {"prune": 1}}).values
    assert values["epochs"] == {"prune": 1}
    assert len(recipe["epochs"]) > 1
    assert {k: v for k, v in values.items() if k != "epochs"} == {
        k: v for k, v in recipe.items() if k != "epochs"
    }


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_the_figures_use_sparsities_and_settings_of_the_tables(scale):
    assert scale.target in scale.sparsities
    assert scale.share in scale.shares
    assert all(setting.values["granularity"] == "channel" for setting in scale.channels)
    assert 0 < min(scale.fractions) < max(scale.fractions) < 1


def test_an_unknown_scale_is_refused_with_the_valid_ones():
    assert scale_by_name("cpu").name == "cpu"
    with pytest.raises(ConfigError, match=r"scale 'tiny'.*cpu, paper, smoke"):
        scale_by_name("tiny")
