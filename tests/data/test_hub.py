"""The Hugging Face library: kept offline, kept quiet, and put back as it was."""

import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import constants

from spikeprune import data
from spikeprune.data import hub
from spikeprune.data.sets import SETS
from spikeprune.errors import DataError

OPTIONS = {"batch_size": 4, "time_steps": 2, "seed": 0}


def settings():
    return (
        datasets.config.HF_HUB_OFFLINE,
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS,
        constants.HF_HUB_OFFLINE,
        constants.HF_HUB_DISABLE_TELEMETRY,
        datasets.utils.are_progress_bars_disabled(),
        huggingface_hub.utils.are_progress_bars_disabled(),
        datasets.utils.logging.get_verbosity(),
    )


@pytest.fixture
def answers(monkeypatch, encoded):
    """A hub that answers with a small set, and counts how often it is asked."""
    asked = []

    def load_dataset(repository, split):
        asked.append((repository, split))
        assert not constants.HF_HUB_OFFLINE
        assert constants.HF_HUB_DISABLE_TELEMETRY
        pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
        rows = {
            "image": [{"bytes": encoded(image), "path": None} for image in pixels],
            "label": [number % 10 for number in range(20)],
        }
        features = {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list("0123456789")),
        }
        return datasets.Dataset.from_dict(rows, features=datasets.Features(features))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "_reachable", lambda: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    return asked


def test_the_hub_is_asked_once_and_then_the_cache(answers, no_network):
    before = settings()
    first = data.load("mnist", **OPTIONS)
    assert answers == [("ylecun/mnist", "train"), ("ylecun/mnist", "test")]
    assert first.info.source == "Hugging Face hub ylecun/mnist"
    assert data.locate("mnist").serves.form == "hub"
    again = data.load("mnist", **OPTIONS)
    assert len(answers) == 2
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first.test, again.test, strict=True))
    assert settings() == before


def test_local_files_never_reach_for_the_network(cifar10_folder, no_network, monkeypatch):
    monkeypatch.setattr(hub, "_reachable", lambda: pytest.fail("the hub was asked"))
    before = settings()
    got = data.load("cifar10", root=cifar10_folder().parent, **OPTIONS)
    assert got.test.samples == 20
    assert settings() == before


def test_an_unreachable_hub_names_every_place_and_a_way_out(monkeypatch, tmp_path, no_network):
    monkeypatch.setattr(hub, "_reachable", lambda: False)
    before = settings()
    with pytest.raises(DataError) as caught:
        data.load("fashion-mnist", root=tmp_path, **OPTIONS)
    text = str(caught.value)
    for part in (
        str(tmp_path),
        "system/fashion-mnist: no such folder",
        "hub zalando-datasets/fashion_mnist",
        "apt install dataset-fashion-mnist",
        "--data_root",
        "--data digits",
    ):
        assert part in text
    assert settings() == before


def test_a_set_without_a_hub_copy_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match="garrickorchard") as caught:
        data.load("nmnist", root=tmp_path, **OPTIONS)
    assert "digits" in str(caught.value)


def test_a_failing_connection_counts_as_unreachable(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route")

    class Session:
        head = staticmethod(fail)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    assert not hub._reachable()
    Session.head = staticmethod(lambda *args, **kwargs: None)
    assert hub._reachable()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub._reachable()


def test_settings_are_put_back_after_an_error():
    before = settings()

    def use():
        with hub._quiet(offline=True):
            assert constants.HF_HUB_OFFLINE
            assert datasets.utils.are_progress_bars_disabled()
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        use()
    assert settings() == before


def test_bars_that_were_off_stay_off():
    datasets.utils.disable_progress_bars()
    try:
        with hub._quiet(offline=True):
            pass
        assert datasets.utils.are_progress_bars_disabled()
    finally:
        datasets.utils.enable_progress_bars()


def test_the_keys_of_splits_and_sets_differ():
    keys = {
        hub.key(SETS[name], split) for name in ("mnist", "cifar10") for split in ("train", "test")
    }
    assert len(keys) == 4


def test_a_folder_here_is_not_taken_for_a_data_set_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / SETS["cifar10"].hub).mkdir(parents=True)
    with pytest.raises(hub.HubUnreachable, match="has a folder uoft-cs/cifar10"):
        hub._fetch(SETS["cifar10"], "train")
