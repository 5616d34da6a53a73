"""Whether a run compiles its neurons is a matter of its plan, and is told and recorded."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.run import compute, session
from spikeprune.lab.run.check import check
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import Epochs, RunConfig


def made(**changes):
    options = {
        "data": "digits",
        "model": "vgg-small",
        "model_args": {"widths": [4, 8], "strides": [2, 1]},
        "time_steps": 3,
        "batch_size": 16,
        "limit": 64,
        "sparsity": 0.5,
        "epochs": Epochs(prune=2, finetune=1),
    }
    return Session(RunConfig(**(options | changes)))


@pytest.fixture(autouse=True)
def compiler(monkeypatch):
    """There is one, and nobody looks for it."""
    for module in (compute, session):
        monkeypatch.setattr(module, "cannot_compile", lambda: None)


def updates_of(run):
    return compute.neuron_updates(run.config, run.wiring, run.steps_per_epoch)


def notice(run):
    return compute.compile_notice(run.config, wanted=run.wants_compiling, compiled=run.compiled)


def test_neuron_updates_worked_out_by_hand():
    run = made()
    neurons = sum(layer.output_shape.numel() for layer in run.wiring.layers.values() if layer.feeds)
    first, second = (size * size * channels for size, channels in ((4, 4), (4, 8)))
    assert neurons == first + second
    updates = run.steps_per_epoch * 16 * 3 * 3 * (first + second)
    assert updates_of(run) == updates
    assert updates_of(made(epochs=Epochs(2, 1, dense=6))) == 2 * updates


def test_auto_compiles_from_a_fixed_amount_of_work(monkeypatch):
    work = updates_of(made())
    assert not made().compiled  # seconds of training
    monkeypatch.setattr(compute, "COMPILE_FROM", work)
    assert made().compiled
    monkeypatch.setattr(compute, "COMPILE_FROM", work + 1)
    assert not made().compiled


@pytest.mark.parametrize(
    ("options", "compiled"),
    [
        ({"compile": "on"}, True),
        ({"compile": "off"}, False),
        ({"compile": "auto", "fuse": False}, False),
    ],
)
def test_what_is_asked_for_is_done(options, compiled, monkeypatch):
    monkeypatch.setattr(compute, "COMPILE_FROM", 0 if not compiled else 10**20)
    run = made(**options)
    assert run.compiled is compiled
    bodies = {getattr(m, "_compiled_body", None) for m in run.fresh().modules()} - {None}
    assert bodies == ({compiled} if options.get("fuse", True) else set())


def test_the_user_is_told(monkeypatch):
    assert notice(made(compile="off")) == ""
    assert notice(made()) == ""
    assert "compiled in the first steps" in notice(made(compile="on"))
    for module in (compute, session):
        monkeypatch.setattr(module, "cannot_compile", lambda: "no g++")
    run = made(compile="on")
    assert notice(run) == "fused neurons are not compiled: no g++"
    assert not run.compiled


def test_compiling_what_is_not_fused_is_refused():
    with pytest.raises(ConfigError, match="compile is on, but fuse is false"):
        check(RunConfig(data="digits", model="vgg-small", compile="on", fuse=False))
