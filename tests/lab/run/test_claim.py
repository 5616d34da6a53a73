"""Nothing stale is taken for a run's own: what changes is refused by name, what stays goes on."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikeprune.errors import RunError
from spikeprune.files import read_json, read_rows
from spikeprune.lab.run import claim as module
from spikeprune.lab.run.identity import identity as identity_module
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import DENSE_NETS, RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import load_tensors, save_tensors

pytestmark = pytest.mark.slow

BASE = {
    "data": "digits",
    "limit": 80,
    "batch_size": 20,
    "model": "my_nets:net",
    "time_steps": 2,
    "sparsity": 0.5,
    "every": 2,
    "epochs": {"prune": 2, "finetune": 1},
    "optimizer": {"lr": 0.05},
    "threads": 1,
}
NET = """
from torch import nn
from spikingjelly.activation_based import functional, layer, neuron
from my_parts import WIDTH
def net(classes):
    model = nn.Sequential(layer.Conv2d(1, WIDTH, 3, bias=False), layer.BatchNorm2d(WIDTH),
        neuron.IFNode(), layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(WIDTH, classes))
    functional.set_step_mode(model, 'm')
    return model
"""
LOADERS = """
import random
import numpy as np, torch
from torch.utils.data import DataLoader, Dataset
OWN = np.random.default_rng()
class Images(Dataset):
    def __init__(self, count):
        draw = torch.Generator().manual_seed(SEED)
        self.x = torch.rand(count, 1, 8, 8, generator=draw)
        self.y = (self.x.mean((1, 2, 3)) > 0.5).long()
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        x = self.x[i]
        if random.random() < 0.5: x = x.flip(-1)
        if OWN.random() < 0.5: x = x.flip(-2)
        return x + torch.randn(()) * 0.01, self.y[i]
SEED = 0
def loaders():
    train = DataLoader(Images(60), batch_size=20, shuffle=True)
    return train, None, DataLoader(Images(30), batch_size=15, shuffle=True), (1, 8, 8), 2
"""


class Told(Silent):
    """Remembers messages and dense epochs, and raises in the second epoch of the given stage."""

    def __init__(self, stop=None):
        self.stop, self.messages, self.dense = stop, [], 0

    def message(self, text):
        self.messages.append(text)

    def epoch(self, row):
        self.dense += row["stage"] == "dense"
        if row["stage"] == self.stop and row["epoch"] == 2:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write("my_nets.py", NET)
    write("my_parts.py", "WIDTH = 4\n")
    write("my_data.py", LOADERS)


def write(name, text):
    """Write a module as an edit between two processes does: the next import is a new one."""
    Path(name).write_text(text)
    for known in ("my_nets", "my_parts", "my_data", "my_rule"):
        sys.modules.pop(known, None)


def edit(name, old, new):
    text = Path(name).read_text()
    assert old in text
    write(name, text.replace(old, new))


def make(name, **values):
    return RunConfig.from_dict(BASE | {"out": name} | values)


def started(stage="prune", **values):
    """Return the configuration of a run that was interrupted after an epoch."""
    config = make("x", **values)
    with pytest.raises(KeyboardInterrupt):
        run(config, display=Told(stage))
    return config


def images(seed, *, size=8, test=6):
    """Write a data folder of two classes, each image noise of its own."""
    draw = np.random.default_rng(seed)
    for half, count in (("train", 20), ("test", test)):
        for name in ("a", "b"):
            os.makedirs(f"images/{half}/{name}", exist_ok=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (size, size), dtype=np.uint8)
                Image.fromarray(pixels).save(f"images/{half}/{name}/{number}.png")


# -- the two cases as they happened ---------------------------------------------------------------


def test_after_an_edit_of_the_net_a_second_run_trains_a_dense_net_of_its_own():
    run(make("one", method="dense"))
    told = Told()
    run(make("two", method="dense", seed=0), display=told)
    assert told.dense == 0  # unchanged: shared
    edit("my_parts.py", "4", "6")  # which only the net's module imports
    told = Told()
    run(make("three", method="dense"), display=told)
    assert told.dense == 3
    nets = [load_tensors(RunFolder(make(name).folder).model) for name in ("two", "three")]
    assert [net["0.weight"].shape[0] for net in nets] == [4, 6]
    assert len(os.listdir(DENSE_NETS)) == 2


def test_after_images_were_replaced_a_second_run_trains_a_dense_net_of_its_own():
    images(0)
    values = {"data": "./images", "limit": None, "batch_size": 10, "method": "dense"}
    run(make("one", **values))
    told = Told()
    run(make("two", **values), display=told)
    assert told.dense == 0
    times = {path: os.stat(path) for path in all_images()}
    images(1)
    for path, status in times.items():  # as `cp -p` and `rsync` leave them
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told = Told()
    run(make("three", **values), display=told)
    assert told.dense == 3
    nets = [RunFolder(make(n).folder).dense.model.read_bytes() for n in ("one", "two", "three")]
    assert nets[0] == nets[1] != nets[2]


def all_images():
    return [os.path.join(at, name) for at, _, names in os.walk("images") for name in names]


# -- a half-finished run --------------------------------------------------------------------------


def refused(config, *words, finished=False):
    held = "a finished run, and since then" if finished else "a half-finished run"
    with pytest.raises(RunError, match=held) as error:
        run(config)
    for word in (*words, "another --out"):
        assert word in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("stage", ["dense", "prune"])
def test_an_edited_net_is_refused_and_goes_on_once_it_is_restored(stage):
    config = started(stage)
    edit("my_parts.py", "4", "6")
    before = RunFolder(config.folder).identity.read_bytes()
    refused(config, "since it began the source of my_parts.py changed")
    assert RunFolder(config.folder).identity.read_bytes() == before
    edit("my_parts.py", "6", "4")
    told = Told()
    run(config, display=told)
    assert told.dense == (2 if stage == "dense" else 0)


def test_replaced_images_are_refused_and_counted():
    images(0)
    values = {"data": "./images", "limit": None, "batch_size": 10}
    config = started(**values)
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save("images/test/b/3.png")
    words = refused(config, "the test inputs changed: 1 of 12 samples")
    assert "training" not in words
    os.remove("images/test/b/3.png")
    refused(config, "the test inputs changed: 12 samples there, 11 now")


def test_other_code_of_this_package_is_refused(monkeypatch):
    config = started()
    monkeypatch.setattr(identity_module, "code_hash", lambda: "01234567")
    refused(config, "spikeprune's own code changed: ", "+01234567 now")


def test_an_extension_is_compared_too():
    write("my_rule.py", "KEPT = 1\n")
    config = started(extensions=["my_rule"])
    write("my_rule.py", "KEPT = 2\n")
    refused(config, "the source of my_rule.py changed")


def test_an_edited_extension_begins_again_with_the_dense_net_that_is_there():
    write("my_rule.py", "KEPT = 1\n")
    config = started("dense", extensions=["my_rule"])
    write("my_rule.py", "KEPT = 2\n")
    told = Told()
    run(config, display=told)
    assert told.dense == 2  # of 3: no extension enters the dense net
    assert any("the source of my_rule.py changed. Nothing was trained" in m for m in told.messages)


def weights(seed):
    torch.manual_seed(seed)
    model = Session(make("none")).built()
    save_tensors(path_of("net.safetensors"), model.state_dict())


def path_of(name):
    return Path(name).absolute()


def test_replaced_weights_are_refused_with_the_files_of_the_old_ones():
    weights(0)
    state = load_tensors(path_of("net.safetensors"))
    config = started(weights="net.safetensors", start="checkpoint")
    save_tensors(path_of("net.safetensors"), {n: v + 1 for n, v in state.items()})
    words = refused(config, "the weights net.safetensors changed", "or delete the folder")
    assert "dense, checkpoints, history.jsonl in it belong to what was there before" in words


def test_repaired_weights_are_taken_if_nothing_was_trained(monkeypatch):
    weights(0)
    path = path_of("net.safetensors")
    state = load_tensors(path)
    save_tensors(path, {n: v * 1e30 if v.is_floating_point() else v for n, v in state.items()})
    values = {"weights": "net.safetensors", "start": "checkpoint"}
    values["epochs"] = {"dense": 0, "prune": 2, "finetune": 0}
    config = make("x", **values)

    class Fails(Silent):
        def stage(self, name, detail=""):
            if name == "prune":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, display=Fails())
    assert (config.folder / "checkpoints" / "train.safetensors").is_file()
    save_tensors(path, state)
    told = Told()
    run(config, display=told)
    assert "the weights net.safetensors changed. Nothing was trained" in told.messages[0]
    fresh = make("fresh", **values)
    run(fresh)
    one, other = (RunFolder(c.folder) for c in (config, fresh))
    assert one.model.read_bytes() == other.model.read_bytes()
    assert one.dense.model.read_bytes() == other.dense.model.read_bytes()


def test_an_unchanged_run_with_shuffling_and_random_augmentation_goes_on():
    config = started("dense", data="my_data:loaders", limit=None)
    recorded = read_json(RunFolder(config.folder).identity)["data"]
    assert "training labels" in recorded["parts"]
    assert any(text.startswith("the training inputs") for text in recorded["left_out"])
    with pytest.raises(KeyboardInterrupt):
        run(config, display=Told("prune"))
    edit("my_data.py", "SEED = 0", "SEED = 1")
    refused(config, "the source of my_data.py changed", "the training labels changed: ")
    edit("my_data.py", "SEED = 1", "SEED = 0")
    run(config)


def test_data_that_the_user_draws_anew_in_every_process_are_left_out():
    edit("my_data.py", "generator=draw", "")
    config = started("dense", data="my_data:loaders", limit=None)
    torch.rand(3)
    told = Told()
    run(config, display=told)
    assert told.dense == 2  # the dense net that was begun goes on, whatever the data


def test_another_number_of_threads_goes_on_with_a_note(monkeypatch):
    config = started()
    real = identity_module.conditions
    monkeypatch.setattr(
        "spikeprune.lab.run.identity.standing.conditions", lambda: real() | {"threads": 7}
    )
    told = Told()
    run(config, display=told)
    note = "the run went on under other conditions (threads 1, then 7): the result is not bit for"
    assert any(note in message for message in told.messages)
    notes = read_json(RunFolder(config.folder).metrics)["notes"]
    assert any(note in text for text in notes)
    assert "threads: 1 for the dense net, 7 for the pruned one" in notes


# -- a finished run -------------------------------------------------------------------------------


def test_a_finished_run_is_reported_by_a_newer_version_but_not_for_other_code(monkeypatch):
    config = make("x")
    report = run(config)
    monkeypatch.setattr(identity_module, "code_hash", lambda: "01234567")
    assert run(config) == report
    edit("my_parts.py", "4", "6")
    refused(config, "the source of my_parts.py changed", finished=True)


def test_a_finished_run_is_reported_without_its_weights_but_not_for_others():
    weights(0)
    config = make("x", weights="net.safetensors", start="checkpoint")
    report = run(config)
    os.rename("net.safetensors", "kept")
    assert run(config) == report
    write("net.safetensors", "other")
    refused(config, "the weights net.safetensors changed", finished=True)


def test_a_finished_run_is_reported_without_its_data_but_not_for_others():
    images(0)
    config = make("x", data="./images", limit=None, batch_size=10)
    report = run(config)
    assert run(config) == report
    images(1)
    refused(config, "the training inputs changed", "the test inputs changed", finished=True)


def test_what_cannot_be_read_any_more_is_said_not_refused(monkeypatch):
    config = make("x")
    report = run(config)

    def fail(*args):
        raise RunError("no such disk")

    monkeypatch.setattr(module, "locate", fail)
    told = Told()
    assert run(config, display=told) == report
    assert told.messages == [
        "report     the data could not be compared with the run's: no such disk"
    ]


# -- folders of version 0.1.0 ---------------------------------------------------------------------


def test_a_run_without_a_record_goes_on_with_a_note():
    config = started()
    folder = RunFolder(config.folder)
    folder.identity.unlink()
    edit("my_parts.py", "4", "4  # the same")
    run(config)
    assert any("begun without a record" in text for text in read_json(folder.metrics)["notes"])
    epochs = [row["epoch"] for row in read_rows(folder.history) if row["kind"] == "epoch"]
    assert epochs == [1, 2, 3]


def test_a_dense_net_that_0_1_0_began_goes_on():
    config = started("dense")
    folder = RunFolder(config.folder)
    folder.identity.unlink()
    (shared,) = os.listdir(DENSE_NETS)
    old = module.key_of(Session(config))
    os.rename(f"{DENSE_NETS}/{shared}", f"{DENSE_NETS}/{old}")
    os.remove(f"{DENSE_NETS}/{old}/identity.json")
    told = Told()
    run(config, display=told)
    assert told.dense == 2
    told = Told()
    run(make("other", method="magnitude"), display=told)
    assert told.dense == 3  # a new run never takes a dense net that cannot be compared


def test_of_two_that_claim_a_folder_at_once_one_is_refused():
    first, second = (Session(make("x", seed=seed)) for seed in (0, 1))
    folder = RunFolder(first.config.folder)
    module.claim(first, folder)
    before = {path: path.read_bytes() for path in Path("x").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"a different run \(seed: 0 there, 1 now\)"):
        module.claim(second, folder)
    assert {path: path.read_bytes() for path in Path("x").rglob("*") if path.is_file()} == before
