"""The loss with a teacher: its value, what it leaves alone, and teachers that do not fit."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.functional import cross_entropy

from spikeprune.errors import ConfigError, ModelError
from spikeprune.execution.forward import evaluating, forward
from spikeprune.science.distillation import divergence
from spikeprune.training.distillation import Distillation
from spikeprune.training.losses import LOSSES

T = 3


def net(seed=0, classes=3, features=6):
    torch.manual_seed(seed)
    made = nn.Sequential(
        layer.Linear(features, 9), layer.BatchNorm1d(9), neuron.LIFNode(),
        layer.Linear(9, classes),
    )  # fmt: skip
    functional.set_step_mode(made, "m")
    return made


def batch(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 6, generator=generator), torch.tensor([0, 1, 2, 0])


def logits_of(model, x):
    with torch.no_grad(), evaluating(model):
        return forward(model, x, time_steps=T)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("name", [None, *LOSSES])
def test_the_loss_is_the_mixture_in_the_scale_of_the_labels_loss(per_step, name):
    student, teacher, (x, y) = net(0), net(1), batch()
    logits, taught = forward(student, x, time_steps=T), logits_of(teacher, x)
    options = {} if name is None else {"loss": name}
    loss = Distillation(
        teacher, weight=0.7, temperature=2.5, time_steps=T, per_step=per_step, **options
    )
    hard = cross_entropy(logits.mean(0), y) if name is None else LOSSES[name](logits, y)
    pair = (logits, taught) if per_step else (logits.mean(0), taught.mean(0))
    soft = divergence(*pair, temperature=2.5) / (T if name == "mean-logits" else 1)
    torch.testing.assert_close(loss(logits, y, x), 0.3 * hard + 0.7 * soft)


def test_the_gradient_of_both_parts_has_one_scale_over_time():
    """As for CE / T: a longer run does not shift the share of the teacher."""
    y, x = torch.tensor([0, 1]), torch.zeros(2, 6)
    for steps in (1, 4):
        teacher = net(1)
        logits = torch.randn(2, 3).expand(steps, 2, 3).clone().requires_grad_()
        hard, soft = (
            Distillation(teacher, weight=w, time_steps=steps, loss="mean-logits") for w in (0, 1)
        )
        taught = forward(teacher.eval(), x, time_steps=steps).mean(0).detach()
        expected = divergence(logits[0], taught, temperature=2.0) / steps
        torch.testing.assert_close(soft(logits, y, x), expected)
        torch.testing.assert_close(hard(logits, y, x), cross_entropy(logits[0], y) / steps)


def test_the_teacher_is_at_rest_in_eval_mode_and_stays_as_it_is():
    student, teacher, (x, y) = net(0), net(1).train(), batch()
    teacher[2].eval()  # its modes are its owner's
    before = copy.deepcopy(teacher.state_dict())
    loss = Distillation(teacher, weight=1.0, time_steps=T)
    first = loss(forward(student, x, time_steps=T), y, x)
    first.backward()
    assert torch.equal(first, loss(forward(student, x, time_steps=T), y, x))  # no state is left
    alone = loss(forward(student, x[:2], time_steps=T), y[:2], x[:2]).item()
    taught = logits_of(teacher, x)[:, :2].mean(0)  # a sample is taught without the batch's others
    ours = forward(student, x[:2], time_steps=T).mean(0)
    assert alone == pytest.approx(divergence(ours, taught, temperature=2.0).item(), rel=1e-5)
    assert [m.training for m in teacher] == [True, True, False, True]
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(t, before[n]) for n, t in teacher.state_dict().items())


def test_learning_from_a_teacher_brings_the_logits_nearer_to_its_own():
    teacher, (x, y) = net(1), batch()
    gaps = {}
    for weight in (0.0, 1.0):
        student = net(0)
        loss = Distillation(teacher, weight=weight, time_steps=T)
        optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
        for _ in range(60):
            optimizer.zero_grad()
            loss(forward(student, x, time_steps=T), y, x).backward()
            optimizer.step()
        logits = forward(student, x, time_steps=T).mean(0)
        gaps[weight] = divergence(logits, logits_of(teacher, x).mean(0), temperature=1.0).item()
    assert gaps[1.0] < 0.3 * gaps[0.0]


def test_nets_that_average_over_time_are_compared_by_their_means():
    teacher, (x, y) = net(1), batch()

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(0)

        def forward(self, x):
            return self.net(x).mean(0)

    student = Mean()
    loss = Distillation(teacher, weight=1.0, time_steps=T)
    functional.reset_net(student)
    logits = student(x.expand(T, *x.shape))
    expected = divergence(logits, logits_of(teacher, x).mean(0), temperature=2.0)
    torch.testing.assert_close(loss(logits, y, x), expected)
    steps = Distillation(teacher, weight=1.0, time_steps=T, per_step=True)
    with pytest.raises(ModelError, match="each of 3 time steps, but the net gives those of 1"):
        steps(logits, y, x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": 1.2}, "weight of a teacher to be from 0 to 1, got 1.2"),
        ({"weight": -0.1}, "weight of a teacher"),
        ({"weight": float("nan")}, "weight of a teacher"),
        ({"temperature": 0}, r"temperature of a teacher to be in \(0, 100\], got 0"),
        ({"temperature": float("inf")}, "temperature of a teacher"),
        ({"loss": "mse"}, "mean-logits, per-step"),
    ],
)
def test_options_that_mean_nothing_are_refused_at_once(options, words):
    with pytest.raises(ConfigError, match=words):
        Distillation(net(), **{"weight": 0.5, "time_steps": T} | options)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (net(classes=5), r"\[4, 3\] at each step.*got \[4, 5\]; give one of the same classes"),
        (net(features=8), "cannot run the inputs of the net that it teaches: RuntimeError"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_at_the_first_step(teacher, words):
    x, y = batch()
    loss = Distillation(teacher, weight=0.5, time_steps=T)
    with pytest.raises(ModelError, match=words):
        loss(forward(net(), x, time_steps=T), y, x)


def test_a_net_does_not_teach_itself():
    model, (x, y) = net(), batch()
    with pytest.raises(ModelError, match="shares weights with the net that is trained"):
        Distillation(model, weight=0.5, time_steps=T)(forward(model, x, time_steps=T), y, x)
    functional.reset_net(model)
    apart = Distillation(copy.deepcopy(model), weight=0.5, time_steps=T)
    assert apart(forward(model, x, time_steps=T), y, x).isfinite()


def test_a_loss_by_sample_cannot_be_mixed():
    model, (x, y) = net(), batch()
    loss = Distillation(
        net(1),
        weight=0.5,
        time_steps=T,
        loss=lambda logits, y: cross_entropy(logits.mean(0), y, reduction="none"),
    )
    with pytest.raises(ConfigError, match=r"gives one number.*got shape \(4,\)"):
        loss(forward(model, x, time_steps=T), y, x)


def test_under_autocast_the_logits_are_compared_in_float32():
    student, teacher, (x, y) = net(0), net(1), batch()
    loss = Distillation(teacher, weight=1.0, time_steps=T)
    exact = loss(forward(student, x, time_steps=T), y, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = student(x.expand(T, *x.shape))
        value = loss(logits, y, x)
    assert (logits.dtype, value.dtype) == (torch.bfloat16, torch.float32)
    assert value.item() == pytest.approx(exact.item(), rel=0.2)
