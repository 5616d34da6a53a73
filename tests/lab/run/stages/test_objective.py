"""The loss of a stage, made of the run's options."""

import pytest
import torch

from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.objective import Objective, stand_in_teacher
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.distillation import Distillation
from spikeprune.training.losses import LOSSES


def session(**values):
    base = {
        "data": "digits",
        "limit": 100,
        "batch_size": 20,
        "sparsity": 0.5,
        "model": "vgg-small",
        "model_args": {"widths": [4], "strides": [2]},
        "time_steps": 2,
    }
    return Session(RunConfig.from_dict(base | values))


def step(one, **parts):
    """The loss of the first training batch, and what it is made of."""
    model, teacher = one.built().train(), Session(one.config).built()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter *= 1.5
    x, y = next(iter(one.moved(one.data.train, model)))
    objective = Objective(one, **{"teacher": teacher} | parts)
    with objective.of(model) as loss:
        logits = one.forward(model)(x)
        return loss(logits, y, x), logits, x, y, teacher


def test_by_default_it_is_the_loss_by_name():
    one = session(loss="per-step")
    value, logits, _, y, _ = step(one, teacher=None)
    assert torch.equal(value, LOSSES["per-step"](logits, y))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_options_of_the_teacher_and_the_penalties_are_those_of_the_run(loss):
    teaching = {"weight": 0.6, "temperature": 3.0, "per_step": loss == "per-step"}
    one = session(teacher=teaching, loss=loss, precision="fp32")
    layers = one.wiring.layers
    dense = dict.fromkeys(layers, 100.0)
    value, logits, x, y, teacher = step(
        one, rate_penalty=0.5, synops_penalty=2.0, dense_synops=dense
    )
    expected = Distillation(teacher, **teaching, time_steps=2, loss=loss)(logits, y, x)
    rated, *_ = step(one, rate_penalty=0.5)
    costly, *_ = step(one, synops_penalty=2.0, dense_synops=dense)
    plain, *_ = step(one)
    torch.testing.assert_close(plain, expected)
    assert rated > plain
    assert costly > plain
    torch.testing.assert_close(value, rated + costly - plain)


def test_the_teacher_computes_in_the_precision_of_the_training_step(monkeypatch):
    seen = {}
    for precision in ("fp32", "bf16"):
        one = session(teacher={"weight": 1.0}, precision=precision)
        conv = torch.nn.functional.conv2d

        def noted(x, *args, conv=conv, precision=precision, **kwargs):
            found = conv(x, *args, **kwargs)
            if not torch.is_grad_enabled():  # the teacher's
                seen[precision] = found.dtype
            return found

        monkeypatch.setattr(torch.nn.functional, "conv2d", noted)
        value, *_ = step(one)
        monkeypatch.setattr(torch.nn.functional, "conv2d", conv)
        assert value.dtype == torch.float32
    assert seen == {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_only_a_run_that_prunes_with_a_teacher_has_one_to_try():
    assert stand_in_teacher(session()) is None
    taught = {"teacher": {"weight": 0.5}}
    assert stand_in_teacher(session(method="dense", **taught)) is None
    found = stand_in_teacher(session(**taught))
    own = session().built().state_dict()
    assert all(torch.equal(t, own[n]) for n, t in found.state_dict().items())
