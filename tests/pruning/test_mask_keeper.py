"""Dead weights stay at 0 through any optimiser and whatever users do between steps."""

import functools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from spikeprune.errors import DeadNetWarning, RunError
from spikeprune.execution.forward import forward
from spikeprune.observing.observer import Observer
from spikeprune.pruning import mask_keeper
from spikeprune.pruning.optimizer_state import ZERO_KEEPING
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.masks import Mask
from spikeprune.training.losses import loss_by_name

T = 2
LOSS = loss_by_name("mean-logits")
FLAGS = {
    "SGD": {"momentum": [0.0, 0.9], "nesterov": [False, True], "fused": [None, True]},
    "Adam": {"amsgrad": [False, True], "fused": [None, True]},
    "AdamW": {"amsgrad": [False, True], "fused": [None, True]},
    "NAdam": {"decoupled_weight_decay": [False, True]},
    "RAdam": {"decoupled_weight_decay": [False, True]},
    "RMSprop": {"momentum": [0.0, 0.9], "centered": [False, True]},
    "Adagrad": {"fused": [None, True], "lr_decay": [0.0, 0.1]},
}
KINDS = sorted(ZERO_KEEPING, key=lambda kind: kind.__name__)


def net(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        layer.Linear(5, 6, bias=False),
        layer.BatchNorm1d(6),
        neuron.LIFNode(),
        layer.Linear(6, 3),
    )
    functional.set_step_mode(model, "m")
    return model


class Loop:
    """Sparse from the first step on, with the next event far away unless asked otherwise."""

    def __init__(self, optimizer=None, *, every=50, steps=1, share=0.5):
        self.model = net()
        make = optimizer or functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)
        self.optimizer = make(self.model.parameters())
        self.drawn = torch.Generator().manual_seed(0)
        self.pruner = Pruner(
            self.model,
            self.optimizer,
            torch.zeros(1, 5),
            time_steps=T,
            total_steps=10 * every,
            options=PruneOptions.of(sparsity=0.6, every=every, schedule="linear", regrow="random"),
        )
        live = {n: torch.rand(m.shape, generator=self.drawn) < share for n, m in self.live.items()}
        self.pruner.load_state_dict(self.pruner.state_dict() | {"live": live})
        for _ in range(steps):
            self.step()

    @property
    def live(self):
        return self.pruner.granularity.live

    def backward(self):
        self.model.train()
        self.optimizer.zero_grad()
        x = torch.randn(7, 5, generator=self.drawn)
        y = torch.randint(3, (7,), generator=self.drawn)
        LOSS(forward(self.model, x, time_steps=T), y).backward()

    def step(self):
        self.backward()
        self.optimizer.step()
        return self.pruner.step()

    def dead(self, of=lambda parameter: parameter.detach()):
        named = dict(self.model.named_parameters())
        return torch.cat([of(named[n])[~mask] for n, mask in self.pruner.mask.items()])

    def momentum(self):
        return self.dead(lambda p: self.optimizer.state[p]["momentum_buffer"])


@pytest.fixture
def passes(monkeypatch):
    """Count the passes over all parameters."""
    made = []
    apply_ = mask_keeper.apply_
    monkeypatch.setattr(mask_keeper, "apply_", lambda *a: (made.append(1), apply_(*a)))
    return made


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_known_optimizers_keep_zeros_without_a_pass_over_the_parameters(data, kind):
    flags = {k: data.draw(st.sampled_from(v), k) for k, v in FLAGS.get(kind.__name__, {}).items()}
    if flags.get("nesterov"):
        flags["momentum"] = 0.9
    if kind.__name__ != "Rprop":
        flags["weight_decay"] = data.draw(st.sampled_from([0.0, 0.1]), "weight_decay")
    if kind.__name__ != "Adafactor" and not flags.get("fused"):
        flags["foreach"] = data.draw(st.booleans(), "foreach")
    flags["maximize"] = data.draw(st.booleans(), "maximize")
    loop = Loop(functools.partial(kind, lr=0.05, **flags), steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_keeper, "apply_", pytest.fail)
        before = loop.model[0].weight.detach().clone()
        for _ in range(6):
            loop.step()
            assert not loop.dead().any()
    assert not torch.equal(loop.model[0].weight, before)
    loop.pruner.check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_leaves_nothing_that_moves_what_it_dropped(kind, passes):
    loop = Loop(functools.partial(kind, lr=0.05), every=3, steps=0, share=1.0)
    for step in range(1, 10):
        event = loop.step()
        assert (event is not None) == (step % 3 == 0)
        assert not loop.dead().any()
    assert not passes


class Noisy(torch.optim.SGD):
    """Moves every weight, gradient or not."""

    def step(self, closure=None):
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(0.1)


def test_any_other_optimizer_is_followed_by_a_pass(passes):
    loop = Loop(functools.partial(Noisy, lr=0.1), steps=0)
    for _ in range(3):
        loop.step()
        assert not loop.dead().any()
    assert len(passes) >= 3


class Calls(TorchDispatchMode):
    """Lists the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__.split(".")[0])
        return func(*args, **kwargs or {})


LOOKS = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select"}
"""What waits for a GPU, because the value of a tensor is needed or decides on a shape."""


def test_an_ordinary_step_never_waits_for_a_value():
    loop = Loop()
    with Calls() as plain:
        loop.pruner.close()
        loop.backward()
        loop.optimizer.step()
    loop = Loop()
    with Calls() as calls:
        loop.step()
    assert not LOOKS & set(calls.names)
    # The product with the mask, once for each gradient, is all that the pruner adds.
    added = [name for name in calls.names if name not in plain.names]
    assert set(added) <= {"view", "permute", "split", "_to_copy", "mul_"}
    assert calls.names.count("mul_") - plain.names.count("mul_") == len(loop.pruner.mask)
    with Calls() as calls:
        loop.pruner.check()
    assert LOOKS & set(calls.names)  # what is looked for can be found


def test_an_armed_step_never_waits_for_a_value():
    loop = Loop()
    observer = Observer(loop.model, time_steps=T, train=True)
    observer.arm()
    with Calls() as calls:
        loop.step()
    observer.disarm()
    assert not LOOKS & set(calls.names)
    assert all(stats.samples == 7 for stats in observer.compute().values())


def test_gradients_changed_after_the_backward_move_nothing(passes):
    loop = Loop()
    made = len(passes)
    for _ in range(3):
        loop.backward()
        for p in loop.model.parameters():
            p.grad.add_(1.0)
        loop.optimizer.step()
        loop.pruner.step()
        assert not loop.dead().any()
        assert not loop.momentum().any()
    assert len(passes) == made


def test_gradients_put_there_by_hand_move_nothing():
    loop = Loop()
    for p in loop.model.parameters():
        p.grad = torch.ones_like(p)
    loop.optimizer.step()
    loop.pruner.step()
    assert not loop.dead().any()
    assert not loop.momentum().any()


def test_clipping_sees_masked_gradients_and_is_not_undone():
    loop = Loop()
    loop.backward()
    assert not loop.dead(lambda p: p.grad).any()
    nn.utils.clip_grad_norm_(loop.model.parameters(), 1e-3)
    clipped = loop.model[0].weight.grad.clone()
    loop.optimizer.step()
    assert torch.equal(loop.model[0].weight.grad, clipped)


@pytest.mark.parametrize("when", ["before the backward", "before the step", "after the step"])
def test_weights_loaded_between_steps_are_masked(when):
    loop = Loop()

    def load(now):
        if now == when:
            loop.model.load_state_dict(net(1).state_dict())
            assert loop.dead().any()

    for i in range(3):
        load("before the backward" if i == 0 else "")
        loop.backward()
        load("before the step" if i == 0 else "")
        loop.optimizer.step()
        load("after the step" if i == 0 else "")
        loop.pruner.step()
        assert not loop.dead().any()


def test_a_loaded_optimizer_brings_no_momentum_of_dead_weights():
    loop, other = Loop(), Loop()
    for state in other.optimizer.state.values():
        state["momentum_buffer"].fill_(1.0)
    loop.optimizer.load_state_dict(other.optimizer.state_dict())
    assert loop.momentum().any()
    for _ in range(3):
        loop.step()
        assert not loop.dead().any()
        assert not loop.momentum().any()


def test_a_layer_unfrozen_later_is_kept_at_zero():
    model = net()
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(
        model,
        optimizer,
        torch.zeros(1, 5),
        time_steps=T,
        total_steps=1,
        every=1,
        sparsity=0.6,
        regrow="none",
    )
    for step in range(4):
        optimizer.zero_grad()
        x = torch.randn(7, 5, generator=torch.Generator().manual_seed(step))
        LOSS(forward(model, x, time_steps=T), torch.arange(7) % 3).backward()
        optimizer.step()
        pruner.step()
        assert not model[0].weight[~pruner.mask["0.weight"]].any()
        model[0].weight.requires_grad_(True)


def test_parameters_added_to_the_optimizer_later():
    loop = Loop(lambda all: torch.optim.SGD(list(all)[-2:], lr=0.1), steps=0)
    assert "the optimiser does not train 0.weight, of 2 tensors" in loop.pruner.notes[-1]
    loop.optimizer.add_param_group({"params": list(loop.model.parameters())[:-2]})
    for _ in range(3):
        loop.step()
        assert not loop.dead().any()


def test_what_is_written_past_the_counters_is_refused_at_the_event():
    loop = Loop(every=3, steps=1)
    loop.model[0].weight.data.add_(1.0)
    loop.step()
    with pytest.raises(RunError, match=r"every dead weight of '0\.weight' to be 0"):
        loop.step()


def test_a_diverged_training_is_refused_at_the_event():
    loop = Loop(every=3, steps=1)
    loop.backward()
    loop.model[0].weight.grad.fill_(torch.nan)
    loop.optimizer.step()
    loop.pruner.step()
    with pytest.raises(RunError, match="diverged"):
        loop.step()


def test_a_scaler_that_skips_a_step_does_no_harm():
    loop = Loop()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for i in range(4):
        loop.model.train()
        loop.optimizer.zero_grad()
        x = torch.randn(7, 5, generator=loop.drawn)
        loss = LOSS(forward(loop.model, x, time_steps=T), torch.arange(7) % 3)
        scaler.scale(loss * torch.inf if i == 1 else loss).backward()
        before = loop.model[0].weight.detach().clone()
        scaler.step(loop.optimizer)
        scaler.update()
        if i == 1:  # no step of the optimiser, so none of the pruner
            assert torch.equal(loop.model[0].weight, before)
            continue
        loop.pruner.step()
        assert not torch.equal(loop.model[0].weight, before)
        assert not loop.dead().any()


def test_no_gradient_is_held_after_the_step():
    loop = Loop()
    loop.backward()
    assert loop.pruner._keeper._masked
    loop.optimizer.step()
    assert not loop.pruner._keeper._masked


def test_nothing_stays_after_closing():
    loop = Loop()
    loop.pruner.close()
    assert not loop.optimizer._optimizer_step_post_hooks
    assert not loop.optimizer._optimizer_load_state_dict_post_hooks
    assert all(not p._post_accumulate_grad_hooks for p in loop.model.parameters())


def test_a_layer_that_loses_its_last_weight_is_warned_of_once():
    mask = Mask({"a.weight": torch.zeros(2, 2, dtype=torch.bool), "n.weight": torch.ones(2) > 2})
    assert mask_keeper.live_weights(mask) == {"a": 0}
    with pytest.warns(DeadNetWarning, match="no live weight is left in a:"):
        notes = mask_keeper.warned_of_dead_layers(mask, known=())
    with warnings.catch_warnings(action="error"):
        assert mask_keeper.warned_of_dead_layers(mask, known=notes) == ()


def test_the_pruner_warns_of_a_dead_layer():
    model = net()
    with torch.no_grad():
        model[3].weight.mul_(1e-6)  # one ranking of all weights leaves none in the last layer
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    options = {"total_steps": 1, "every": 1, "sparsity": 0.9, "method": "magnitude"}
    pruner = Pruner(model, optimizer, torch.zeros(1, 5), time_steps=T, **options)
    LOSS(forward(model, torch.ones(4, 5), time_steps=T), torch.arange(4) % 3).backward()
    optimizer.step()
    with pytest.warns(DeadNetWarning, match="no live weight is left in 3:") as seen:
        pruner.step()
    assert seen[0].filename == __file__
    assert any(note.startswith("no live weight is left in 3:") for note in pruner.notes)
