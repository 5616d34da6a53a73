"""The optimiser of the loop must be the pruner's: refused at construction, or at the first step."""

import copy
import gc
import weakref

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.optim import optimizer as registry
from torch.optim.lr_scheduler import StepLR

from spikeprune import Pruner
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.pruning.optimizer_watch import OptimizerWatch, require_in_place

T = 2
SGD = {"lr": 0.1, "momentum": 0.9}


def net():
    torch.manual_seed(0)
    model = nn.Sequential(layer.Linear(5, 6), neuron.IFNode(), layer.Linear(6, 3))
    functional.set_step_mode(model, "m")
    return model


def pruner_of(model, optimizer, **options):
    made = {"method": "random-regrow", "sparsity": 0.5, "every": 2, "total_steps": 4} | options
    return Pruner(model, optimizer, torch.zeros(1, 5), time_steps=T, **made)


def backward(model, scale=1.0):
    functional.reset_net(model)
    loss = model(torch.rand(T, 4, 5)).mean(0).square().sum()
    model.zero_grad()
    (loss * scale).backward()
    return loss


def train(model, optimizer, pruner, steps=4):
    for _ in range(steps):
        backward(model)
        optimizer.step()
        pruner.step()


@pytest.mark.parametrize(
    "other",
    [lambda model: net(), copy.deepcopy, lambda model: model[:0].append(nn.Linear(2, 2))],
    ids=["another net", "a copy", "another layer"],
)
def test_an_optimizer_of_other_tensors_is_refused_and_the_weights_are_named(other):
    model = net()
    optimizer = torch.optim.SGD(other(model).parameters(), **SGD)
    with pytest.raises(ConfigError, match=r"none of the 2 tensors .*\(0\.weight, 2\.weight\)"):
        pruner_of(model, optimizer)
    assert Pruner.of(model) is None
    assert not model[0].weight._post_accumulate_grad_hooks


def test_an_optimizer_made_before_the_tensors_were_replaced_is_refused():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    model.load_state_dict(net().state_dict(), assign=True)
    with pytest.raises(ConfigError, match="moved or its weights replaced"):
        pruner_of(model, optimizer)


def test_a_frozen_net_needs_no_optimizer_of_its_weights():
    model = net()
    for number in (0, 2):
        model[number].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([model[0].bias, model[2].bias], **SGD)
    with pruner_of(model, optimizer) as pruner:
        train(model, optimizer, pruner)
        assert pruner.density == 0.5


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_an_optimizer_made_anew_is_refused_before_any_mask_changes(kind):
    model = net()
    with pruner_of(model, torch.optim.SGD(model.parameters(), **SGD)) as pruner:
        later = kind(model.parameters(), lr=0.1)
        expected = rf"another optimiser \(SGD\) than .* steps its weights \({kind.__name__}\)"
        with pytest.raises(RunError, match=expected):
            train(model, later, pruner)
        assert pruner.steps == 1
        assert not pruner.events
        assert pruner.density == 1
    assert Pruner.of(model) is None  # closed by the error


def test_two_optimizers_that_share_the_layers_are_refused():
    model = net()
    first, second = (torch.optim.SGD(model[k].parameters(), **SGD) for k in (0, 2))
    with pruner_of(model, first) as pruner:
        assert "does not train 2.weight" in pruner.notes[-1]
        backward(model)
        first.step()
        second.step()
        with pytest.raises(RunError, match="another optimiser"):
            pruner.step()


def test_after_the_last_event_any_optimizer_may_fine_tune():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        train(model, optimizer, pruner)
        later = torch.optim.Adam(model.parameters(), lr=0.1)
        train(model, later, pruner, steps=2)
        pruner.check()
        dead = ~pruner.mask["0.weight"]
        assert not model[0].weight[dead].any()
        assert dead.any()


def test_optimizers_of_other_nets_do_not_matter():
    model, teacher = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        for _ in range(4):
            backward(teacher)
            torch.optim.SGD(teacher.parameters(), **SGD).step()
            train(model, optimizer, pruner, steps=1)
        assert pruner.finished


class Wrapper(torch.optim.Optimizer):
    """As Accelerate's: an Optimizer by class, whose own constructor is not called."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)

    def step(self, closure=None):
        self.optimizer.step(closure)


class Sam(torch.optim.Optimizer):
    """Sharpness-aware in form: a step of its own, then one of the optimiser inside."""

    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.base_optimizer = torch.optim.SGD(self.param_groups, **SGD)

    def step(self, closure=None):
        self.base_optimizer.step()


@pytest.mark.parametrize("wrap", [Wrapper, lambda inner: Sam(inner.param_groups[0]["params"])])
@pytest.mark.parametrize("given", ["wrapper", "inside"])
def test_wrappers_are_no_other_optimizer(wrap, given):
    model = net()
    outer = wrap(torch.optim.SGD(model.parameters(), **SGD))
    inner = getattr(outer, "optimizer", None) or outer.base_optimizer
    with pruner_of(model, outer if given == "wrapper" else inner) as pruner:
        train(model, outer, pruner)
        returned = ~pruner.mask["0.weight"]
        assert pruner.finished
        momentum = inner.state[model[0].weight]["momentum_buffer"]
        assert not momentum[returned].any()


def test_schedulers_loaded_states_and_accumulation():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    scheduler = StepLR(optimizer, 1)
    with pruner_of(model, optimizer) as pruner:
        for number in range(4):
            for _ in range(2):
                backward(model)
            optimizer.step()
            scheduler.step()
            if number == 1:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            pruner.step()
        assert pruner.finished
        pruner.check()


def test_steps_that_a_scaler_skips_raise_no_alarm():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with pruner_of(model, optimizer) as pruner:
        for number in range(4):
            scaler.scale(backward(model, scale=torch.inf if number < 2 else 1.0)).detach()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            event = pruner.step()
            assert (event is not None) == (number % 2 == 1)
        assert pruner.finished


def test_a_step_without_any_optimizer_raises_no_alarm():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        for _ in range(4):
            backward(model)
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            pruner.step()
        assert pruner.finished


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_parameters_replaced_while_training_are_refused_before_the_masks_change(steps):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        train(model, optimizer, pruner, steps=steps)
        before = pruner.density
        model.load_state_dict(model.state_dict() | net().state_dict(), assign=True)
        with pytest.raises(RunError, match=r"'0\.weight' was replaced after the Pruner was made"):
            train(model, optimizer, pruner)
        assert pruner.density == before


def test_a_layer_that_is_replaced_or_taken_out_meanwhile_is_refused():
    for change in (nn.Linear(5, 6), nn.Identity()):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), **SGD)
        with pruner_of(model, optimizer) as pruner:
            model[0] = change
            with pytest.raises(RunError, match=r"'0\.weight' was replaced"):
                pruner.step()


def test_masks_on_another_device_are_refused():
    parameter, mask = nn.Parameter(torch.ones(2, device="meta")), torch.ones(2, dtype=torch.bool)
    model = nn.ParameterDict({"w": parameter})
    require_in_place(model, {"w": parameter}, {"w": mask.to("meta")})
    with pytest.raises(RunError, match=r"'w' was moved to meta after the Pruner was made"):
        require_in_place(model, {"w": parameter}, {"w": mask})


def test_a_net_that_is_compiled_meanwhile_is_refused():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        model[0].compile(backend="eager")
        backward(model)
        optimizer.step()
        with pytest.raises(ModelError, match=r"0 is compiled by torch\.compile"):
            pruner.step()


def test_a_net_that_takes_another_type_in_place_goes_on():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    with pruner_of(model, optimizer) as pruner:
        train(model, optimizer, pruner, steps=1)
        model.bfloat16()
        for _ in range(3):
            functional.reset_net(model)
            model.zero_grad()
            model(torch.rand(T, 4, 5, dtype=torch.bfloat16)).sum().backward()
            optimizer.step()
            pruner.step()
        pruner.check()
        assert pruner.density == 0.5


def test_nothing_is_left_behind():
    hooks = registry._global_optimizer_post_hooks
    before = len(hooks)
    model = net()
    with pruner_of(model, torch.optim.SGD(model.parameters(), **SGD)):
        assert len(hooks) == before + 1
    assert len(hooks) == before
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    watch = OptimizerWatch(optimizer, dict(model.named_parameters()))
    assert len(hooks) == before + 1
    seen = weakref.ref(watch)
    del watch
    gc.collect()
    assert seen() is None
    assert len(hooks) == before
