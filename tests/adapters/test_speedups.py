"""Fusing and hoisting through adapters: reports, names, and what a hoisted layer computes."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.adapters import registry, speedups
from spikeprune.adapters.speedups import (
    FuseReport,
    cannot_compile,
    computed,
    fuse,
    hoist,
    infer_by,
    unfuse,
    unhoist,
)


def test_what_a_layer_computes_on():
    module, x = layer.Linear(3, 2, step_mode="m"), torch.randn(4, 3)
    expanded, repeated = x.expand(5, 4, 3), x.repeat(5, 1, 1)
    assert computed(module, expanded) is expanded
    hoist(module)
    assert torch.equal(computed(module, expanded), x.unsqueeze(0))
    assert computed(module, repeated) is repeated
    assert computed(nn.Linear(3, 2), expanded) is expanded
    module.step_mode = "s"
    assert computed(module, expanded) is expanded


@pytest.mark.parametrize("function", [hoist, unhoist])
def test_a_framework_that_hoists_nothing_is_passed_over(function, monkeypatch):
    class Other:
        framework = "torch"

    monkeypatch.setattr(registry, "_registered", {"torch": Other()})
    monkeypatch.setattr(registry, "_BUILT_IN", {})
    assert function(layer.Linear(3, 2, step_mode="m")) == ()


def test_an_adapter_without_fused_forms_is_reported(monkeypatch):
    class Foreign:
        framework = "foreign"

        def matches(self, module):
            return isinstance(module, nn.ReLU)

        def opaque(self, module):
            return False

    monkeypatch.setattr(registry, "_registered", {"foreign": Foreign()})
    monkeypatch.setattr(registry, "_BUILT_IN", {})
    report = fuse(nn.Sequential(nn.ReLU(), nn.Linear(1, 1)))
    assert report.fused == ()
    assert report.left == {"0": "neurons of foreign have no fused form"}


def test_a_report_counts_and_gives_reasons():
    report = FuseReport(("0", "3"), {"1": "it has a precision of its own"})
    assert str(report) == "2 of 3 spiking neurons fused; '1' is not: it has a precision of its own"


def test_names_are_those_of_the_modules_that_changed():
    model = nn.Sequential(
        layer.Linear(3, 2, step_mode="m"), neuron.IFNode(step_mode="m"), nn.Linear(2, 2)
    )
    assert infer_by(model, lambda x, state, dynamics: None) == ()
    assert fuse(model).fused == infer_by(model, lambda x, state, dynamics: None) == ("1",)
    assert hoist(model) == hoist(model) == ("0",)
    assert unhoist(model) == ("0",)
    assert unfuse(model) == ("1",)
    assert unfuse(model) == unhoist(model) == ()


def test_a_given_body_runs_for_inference_alone():
    model, x = nn.Sequential(neuron.IFNode(step_mode="m")), torch.ones(4, 2, 3)
    fuse(model)
    calls = []

    def body(x, state, dynamics):
        calls.append((state, dynamics.threshold))
        return x - 0.5, x[-1] + 7

    infer_by(model, body)
    assert torch.equal(model(x), torch.ones(4, 2, 3))
    assert not calls
    model[0].reset()
    with torch.no_grad():
        assert torch.equal(model(x), x - 0.5)
    assert calls == [(0.0, 1.0)]
    assert torch.equal(model[0].v, x[-1] + 7)


def test_why_neurons_cannot_be_compiled_is_what_the_kernels_say(monkeypatch):
    monkeypatch.setattr(speedups.kernels, "obstacle", lambda: "no g++")
    assert cannot_compile() == "no g++"
