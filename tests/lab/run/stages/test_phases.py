"""Learning-rate schedules of phases, and the phases of each kind of run."""

import pytest
import torch
from torch import nn

from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages import phases as module
from spikeprune.lab.run.stages.phases import Phase, phases
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import load_tensors


def test_phases_share_one_schedule_unless_they_have_their_own():
    shared = Phase("finetune", 4)
    assert shared.progress(7.5, 10, before=6) == 0.75
    own = Phase("prune", 4, skipped=1)
    assert [own.progress(e, 10, before=6) for e in (6, 8.5)] == pytest.approx([0.2, 0.7])
    assert Phase("prune", 4, skipped=0).progress(6, 10, before=6) == 0


def test_functions_are_called_before_their_epoch():
    calls = []
    phase = Phase(
        "prune",
        3,
        begin=lambda: calls.append("begin"),
        keep=(1, lambda: calls.append("keep")),
    )
    for epoch in range(3):
        phase.prepare(epoch)
        calls.append(epoch)
    assert calls == ["begin", 0, "keep", 1, 2]
    Phase("prune", 1).prepare(0)


def session(**values):
    base = {"data": "digits", "model": "vgg-small", "epochs": {"prune": 4, "finetune": 2}}
    return Session(RunConfig.from_dict(base | {"sparsity": 0.5} | values))


def test_channels_are_fine_tuned_in_a_stage_of_their_own(tmp_path):
    folder = RunFolder(tmp_path)
    weights = phases(session(method="magnitude"), folder, pruner=None)
    assert weights == [Phase("prune", 4), Phase("finetune", 2)]
    channels = phases(session(granularity="channel"), folder, pruner=None)
    assert channels == [Phase("prune", 4)]


def test_rounds_keep_the_early_weights_and_rewind_to_them(tmp_path, monkeypatch):
    class Pruner:
        model = nn.Linear(3, 2)

    rewound = []
    monkeypatch.setattr(module, "rewind", lambda pruner, tensors: rewound.append(tensors))
    run = session(method="imp", imp={"rounds": 2, "rewind": 1})
    # 6 epochs in 3 trainings of E, E - 1, E - 1: E = 8 // 3 = 2 and 2 left over for the last.
    found = phases(run, RunFolder(tmp_path), Pruner())
    assert [(p.name, p.epochs, p.skipped) for p in found] == [
        ("prune", 2, 0),
        ("prune", 1, 1),
        ("finetune", 3, 1),
    ]
    assert [phase.begin is None for phase in found] == [True, False, False]
    early = {name: t.clone() for name, t in Pruner.model.state_dict().items()}
    found[0].prepare(0)
    assert not (tmp_path / "checkpoints").exists()
    found[0].prepare(1)
    nn.init.zeros_(Pruner.model.weight)
    found[1].prepare(0)
    (tensors,) = rewound
    for stored in (tensors, load_tensors(tmp_path / "checkpoints" / "rewind.safetensors")):
        assert stored.keys() == early.keys()
        assert all(torch.equal(stored[name], tensor) for name, tensor in early.items())
