"""The training loop: order of its calls, and when it refuses to go on."""

import math

import pytest
import torch
from torch import nn

from spikeprune.errors import ConfigError, DataError, RunError
from spikeprune.execution.forward import evaluating
from spikeprune.training.loop import (
    LR_SCHEDULES,
    accuracy,
    check_finite,
    lr_factor,
    make_optimizer,
    train_epoch,
)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def batches(count=3, size=6):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(size, 4, generator=generator), torch.arange(size) % 3) for _ in range(count)
    ]


def loss(logits, target, inputs):
    return nn.functional.cross_entropy(logits.mean(0), target)


def run(model, data, optimizer, **changes):
    kept = {"pruner": None, "forward": lambda x: model(x).unsqueeze(0), "loss": loss}
    return train_epoch(model, data, optimizer, **kept | changes)


class Log:
    """Notes what is called, in order; also stands in for a pruner."""

    def __init__(self, optimizer):
        self.calls = []
        optimizer.register_step_post_hook(lambda *_: self.calls.append("optimizer"))

    def step(self):
        self.calls.append("pruner")


def test_the_calls_of_an_epoch_and_its_mean_loss():
    model = net().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log, losses = Log(optimizer), []

    def after(value):
        losses.append(value)
        log.calls.append("after")

    before = lambda: log.calls.append("before")  # noqa: E731
    mean = run(model, batches(), optimizer, pruner=log, before_step=before, after_step=after)
    assert log.calls == ["before", "optimizer", "pruner", "after"] * 3
    assert mean == pytest.approx(sum(losses) / 3)
    assert model.training


def test_training_lowers_the_loss():
    model, data = net(), batches(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    first = run(model, data, optimizer)
    assert [run(model, data, optimizer) for _ in range(9)][-1] < first


def test_the_norm_of_all_gradients_is_clipped():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = [p.detach().clone() for p in model.parameters()]
    run(model, batches(1), optimizer, clip_norm=1e-3)
    moved = [
        (a - b).detach().square().sum() for a, b in zip(before, model.parameters(), strict=True)
    ]
    assert float(sum(moved)) ** 0.5 == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_optimizer_steps(value):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log, factors = Log(optimizer), iter([1.0, value])
    broken = lambda *batch: loss(*batch) * next(factors)  # noqa: E731
    with pytest.raises(RunError, match=r"the loss is (nan|inf) at batch 2.*Lower the learning"):
        run(model, batches(), optimizer, loss=broken, pruner=log)
    assert log.calls == ["optimizer", "pruner"]
    assert all(p.isfinite().all() for p in model.parameters())


def test_an_epoch_without_batches_is_refused():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match="at least one training batch, got none"):
        run(model, [], optimizer)
    with pytest.raises(DataError, match="at least one sample"):
        accuracy(model, [], forward=model)


def test_accuracy_is_the_share_of_right_samples_and_restores_every_mode():
    model = net().train()
    model[1].eval()  # a frozen norm
    data = batches(2, 5)

    def forward(x):
        assert not any(m.training for m in model.modules())
        return torch.stack([model(x), 3 * model(x)])

    share = accuracy(model, data, forward=forward)
    assert [m.training for m in model.modules()] == [True, True, False, True]
    with torch.no_grad(), evaluating(model):
        hits = sum(int((model(x).argmax(1) == y).sum()) for x, y in data)
    assert share == hits / 10


def test_a_net_with_broken_weights_or_statistics_is_refused():
    check_finite(net(), 3)
    for name in ("0.weight", "1.running_var"):
        model = net()
        model.state_dict()[name].flatten()[0] = math.nan
        with pytest.raises(RunError, match=rf"^'{name}' holds .* after epoch 3; lower"):
            check_finite(model, 3)


def test_learning_rates_by_name():
    values = {
        "cosine": [1.0, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 - math.cos(math.pi / 4)) / 2, 0],
        "step": [1.0, 1.0, 0.1, 0.01, 0.01],
        "constant": [1.0] * 5,
    }
    for name, expected in values.items():
        found = [lr_factor(name, progress) for progress in (0, 0.25, 0.5, 0.75, 1)]
        assert found == pytest.approx(expected), name
    assert lr_factor("onecycle", 0) == pytest.approx(1 / 25)
    assert lr_factor("onecycle", 0.3) == pytest.approx(1.0)
    assert lr_factor("onecycle", 1) == pytest.approx(0.0)
    rising = [lr_factor("onecycle", p / 100) for p in range(31)]
    assert rising == sorted(rising)
    for name in LR_SCHEDULES:
        assert all(0 <= lr_factor(name, p / 20) <= 1 for p in range(21))


def test_names_that_do_not_exist_list_those_that_do():
    with pytest.raises(
        ConfigError, match=r"unknown learning-rate schedule 'cos'.*constant, cosine"
    ):
        lr_factor("cos", 0.5)
    with pytest.raises(ConfigError, match=r"unknown optimizer 'adam'.*adamw, sgd"):
        make_optimizer(net(), "adam", lr=0.1, momentum=0.9, weight_decay=0.0)


def test_optimizers_take_what_trains():
    model = net()
    model[0].requires_grad_(False)
    sgd = make_optimizer(model, "sgd", lr=0.1, momentum=0.9, weight_decay=0.01)
    chosen = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    assert {name: sgd.defaults[name] for name in chosen} == chosen
    assert len(sgd.param_groups[0]["params"]) == 4
    adamw = make_optimizer(model, "adamw", lr=0.1, momentum=0.9, weight_decay=0.01)
    assert isinstance(adamw, torch.optim.AdamW)
