"""Where data is looked for."""

import pytest

from spikeprune import data
from spikeprune.data import places
from spikeprune.errors import ConfigError


def test_the_root_serves_before_the_system(idx_folder, monkeypatch, tmp_path):
    idx_folder("system/mnist")
    root = idx_folder("mine/mnist").parent
    monkeypatch.setattr(places, "SYSTEM_FOLDER", tmp_path / "system")
    location = data.locate("mnist", root)
    assert location.serves.where == str(root / "mnist")
    assert [place.found for place in location.places] == [True, False, True, False]
    assert location.places[-1].where == "Hugging Face hub ylecun/mnist"
    assert data.locate("mnist").serves.where == str(tmp_path / "system" / "mnist")
    assert data.locate("mnist", root / "mnist").serves.form == "idx"


def test_a_folder_beside_with_the_same_columns_is_another_set(cifar10_folder, tmp_path):
    cifar10_folder()
    assert data.locate("cifar10", tmp_path).serves.where == str(tmp_path / "cifar10")
    for name in ("cifar100", "mnist", "tiny-imagenet"):
        assert data.locate(name, tmp_path).serves is None


@pytest.mark.parametrize(
    "layout",
    [
        "train-00000-of-00001.parquet",
        "data/train-0.parquet",
        "default/train/0.parquet",
        "train.parquet",
    ],
)
def test_the_layouts_of_the_hub_are_known(tmp_path, layout):
    for split in ("train", "test"):
        file = tmp_path / layout.replace("train", split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert data.locate("cifar100", tmp_path).serves.form == "parquet"


def test_what_is_lacking_is_noted(idx_folder):
    folder = idx_folder()
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    location = data.locate("fashion-mnist", folder)
    assert location.serves is None
    assert "lacks train-labels-idx1-ubyte[.gz]" in location.places[0].note
    assert data.locate("fashion-mnist", folder / "x").places[0].note == "no such folder"
    assert "holds no files of this set" in data.locate("nmnist", folder).places[0].note


def test_names_that_need_no_search(tmp_path):
    assert data.locate("digits").serves.form == "embedded"
    assert data.locate("some.where:make").serves.form == "callable"
    assert data.locate("folder", tmp_path).serves.where == str(tmp_path)
    assert data.locate(str(tmp_path)).serves.form == "folder"
    assert data.locate(str(tmp_path / "x")).serves is None


def test_a_set_by_name_outranks_a_folder_of_that_name(monkeypatch, tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert data.locate("digits").serves.form == "embedded"
    assert data.locate("pictures").serves.form == "folder"


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ConfigError) as caught:
        data.locate("cifar11")
    for name in (*data.NAMES, "module:callable"):
        assert name in str(caught.value)
    with pytest.raises(ConfigError, match="'folder' needs to know which"):
        data.locate("folder")
