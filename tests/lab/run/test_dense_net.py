"""The dense net: trained once for all runs with an equal key, and held while it is trained."""

import pytest
import torch

from spikeprune.files import read_json, read_rows
from spikeprune.lab.run import dense_net as module
from spikeprune.lab.run.dense_net import dense_key, dense_metrics, held_by_main, shared_folder
from spikeprune.lab.run.identity.identity import conditions, dense_name
from spikeprune.lab.run.identity.standing import Record
from spikeprune.lab.run.locks import held, is_held
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig

BASE = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "sparsity": 0.6,
    "every": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4], "strides": [2]},
    "time_steps": 2,
    "epochs": {"prune": 2, "finetune": 1},
    "threads": 1,
}


def make(folder, **values):
    return RunConfig.from_dict(BASE | {"out": str(folder)} | values)


class Told(Silent):
    """Remembers the stages and messages of a run, and its dense epochs."""

    def __init__(self):
        self.stages, self.messages, self.epochs = [], [], []

    def stage(self, name, detail=""):
        self.stages.append(name)

    def message(self, text):
        self.messages.append(text)

    def epoch(self, row):
        if row["stage"] == "dense":
            self.epochs.append(row["epoch"])


def dense_of(config, display):
    """The dense net's metrics of a run that has claimed its folders."""
    session, folder = Session(config), RunFolder(config.folder)
    for path in (folder.config, shared_folder(session, folder).config):
        config.save(path, replace=False)
    return dense_metrics(session, folder, display), folder


def test_runs_with_an_equal_key_train_one_dense_net(tmp_path):
    told = [Told() for _ in range(4)]
    one, first = dense_of(make(tmp_path / "a"), told[0])
    two, second = dense_of(make(tmp_path / "b", method="magnitude", sparsity=0.8), told[1])
    _, other = dense_of(make(tmp_path / "c", seed=1), told[2])
    again, _ = dense_of(make(tmp_path / "a"), told[3])
    assert [shown.epochs for shown in told] == [[1, 2, 3], [], [1, 2, 3], []]
    stages = ["dense", "evaluate"]
    assert [shown.stages for shown in told] == [stages, [], stages, []]
    shared = shared_folder(Session(make("x")), first).path
    assert told[1].messages == [f"dense      taken from {shared}"]
    assert one == two == again == read_json(first.dense.metrics)
    nets = [folder.dense.model.read_bytes() for folder in (first, second, other)]
    assert nets[0] == nets[1] != nets[2]
    assert len(list((tmp_path / ".dense").iterdir())) == 2


def test_its_metrics_and_history_are_those_of_its_training(tmp_path):
    found, folder = dense_of(make(tmp_path / "a"), Silent())
    rows = read_rows(folder.dense.history)
    assert [(row["stage"], row["epoch"], row["density"]) for row in rows] == [
        ("dense", 1, 1.0),
        ("dense", 2, 1.0),
        ("dense", 3, 1.0),
    ]
    # 3x3 kernels at 4x4 positions in one of 2 time steps, then the classifier in both.
    macs = 16 * 4 * 9 + 2 * 4 * 10
    flops = 6 * macs * 100 * 3  # 100 samples, 3 epochs
    assert found["cost"] == {
        "total_epochs": 3,
        "flops": flops,
        "flops_sparse": flops,
        "seconds": pytest.approx(sum(row["seconds"] for row in rows)),
    }
    assert found["metrics"]["density"] == 1
    assert found["metrics"]["latency_ms"].keys() == {"b1", "b32"}
    shared = shared_folder(Session(make(tmp_path / "a")), folder)
    assert list(shared.checkpoints.iterdir()) == []  # it is finished: nothing is left to resume


def test_a_copy_without_metrics_is_made_again(tmp_path):
    config = make(tmp_path / "a")
    found, folder = dense_of(config, Silent())
    folder.dense.metrics.unlink()  # written last: without it the copy was interrupted
    folder.dense.model.write_bytes(b"half")
    told = Told()
    assert dense_of(config, told)[0] == found
    assert told.epochs == []
    assert folder.dense.model.read_bytes() != b"half"


def test_a_moved_run_keeps_its_own_dense_net(tmp_path):
    dense_of(make(tmp_path / "here" / "x"), Silent())
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "x").rename(tmp_path / "there" / "x")
    told = Told()
    found, _ = dense_of(make(tmp_path / "there" / "x"), told)
    assert (told.stages, told.epochs) == ([], [])
    assert found["cost"]["total_epochs"] == 3


def test_a_dense_net_that_another_run_trains_is_waited_for(tmp_path):
    class Impatient(Silent):
        def message(self, text):
            raise TimeoutError(text)

    config = make(tmp_path / "x")
    shared = shared_folder(Session(config), RunFolder(config.folder))
    config.save(shared.config)
    with (
        held(shared.config, busy=lambda: None),
        pytest.raises(TimeoutError, match="waits for another run's"),
    ):
        dense_of(config, Impatient())


def test_a_file_is_held_while_active_and_released_after_an_error(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("")
    inside = []

    def fail():
        inside.append(is_held(file))
        raise KeyError

    with pytest.raises(KeyError), held_by_main(file, busy=lambda: None):
        fail()
    assert (inside, is_held(file)) == ([True], False)


def test_only_rank_0_holds_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "by_main", lambda work: None)  # as on another rank
    file = tmp_path / "config.yaml"
    file.write_text("")
    with held_by_main(file, busy=lambda: None):
        assert not is_held(file)


def test_the_folder_depends_on_the_number_of_processes_and_on_compiling(tmp_path, monkeypatch):
    config = make(tmp_path / "x")
    folder = RunFolder(config.folder)
    alone, identity = dense_key(config), Session(config).identity
    expected = tmp_path / ".dense" / dense_name(alone, identity)
    assert shared_folder(Session(config), folder).path == expected
    monkeypatch.setattr(module, "world_size", lambda: 2)
    together = dense_key(config, processes=2)
    assert together != alone
    assert shared_folder(Session(config), folder).path.name == dense_name(together, identity)


def test_a_run_that_goes_on_keeps_the_folder_that_it_recorded(tmp_path):
    session = Session(make(tmp_path / "x"))
    folder = RunFolder(session.config.folder)
    Record(session.identity, "recorded", [conditions()]).write(folder)
    assert shared_folder(session, folder).path.name == "recorded"


def test_a_dense_net_records_what_it_is_made_of(tmp_path):
    _, folder = dense_of(make(tmp_path / "a"), Silent())
    session = Session(make(tmp_path / "a"))
    shared = shared_folder(session, folder)
    record = Record.read(shared)
    assert (record.identity, record.dense) == (session.identity, shared.path.name)
    assert [one["threads"] for one in record.conditions] == [torch.get_num_threads()]
    assert folder.dense.identity.read_bytes() == shared.identity.read_bytes()
