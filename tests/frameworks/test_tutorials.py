"""Nets in the style of each framework's tutorials: a script of their owner, and marked lines."""

import copy
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.frameworks.environment import INSTALLED, frameworks, require
from torch import nn
from torch.nn.modules.conv import _ConvNd

from spikeprune import cut, evaluate
from spikeprune.toolbox import load_cut, save_cut

SCRIPTS = Path(__file__).with_name("tutorials")
ROOMS = {"spikingjelly-0.0.0.0.12": "clock_driven"} | dict.fromkeys(
    ("spikingjelly-0.0.0.0.14", INSTALLED), "activation_based"
)
"""Folders that are not called as their framework."""
NEURONS = {
    "snntorch/explicit": ("lif1", "lif2"),
    "snntorch/hidden": ("2", "5", "8"),
    "norse/cells": ("body.1", "body.5"),
    "norse/lift": ("1",),
    "sinabs/squeeze": ("1", "4", "8"),
    "sinabs/several_spikes": (),
    "sinabs/sequence": ("1", "3"),
    "clock_driven/single_step": ("2", "6", "8"),
    "clock_driven/multi_step": ("body.0", "body.2"),
    "activation_based/single_step": ("2", "4", "6"),
    "activation_based/multi_step": ("body.2", "body.6", "body.8"),
}


def cases():
    for framework, marks in frameworks():
        folder = SCRIPTS / ROOMS.get(framework, framework.partition("-")[0])
        for path in sorted(folder.glob("*.py")):
            yield pytest.param((framework, path), marks=marks, id=f"{framework}-{path.stem}")


@dataclass
class Case:
    name: str
    path: Path

    def run(self, leave_out=None):
        """Run the script without the lines that match; return its names."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        kept = ["" if leave_out and re.search(leave_out, line) else line for line in lines]
        names = {}
        torch.manual_seed(0)
        exec(compile("\n".join(kept), self.path, "exec"), names)
        return names


@pytest.fixture(params=cases())
def case(request):
    framework, path = request.param
    require(framework)
    return Case(f"{path.parent.name}/{path.stem}", path)


@cache
def masked(path):
    """The script up to its cut."""
    return Case("", path).run(r"^result = cut")


def layers(net):
    return {n: m for n, m in net.named_modules() if isinstance(m, _ConvNd | nn.Linear)}


@torch.no_grad()
def answered(script, net, x):
    return script["answer"](net.eval(), x)


@torch.no_grad()
def counted(net, run):
    """Return the operations of a run by layer: each layer again, on ones, with ones for weights."""
    found = dict.fromkeys(layers(net), 0.0)
    ones = {name: copy.deepcopy(module).double() for name, module in layers(net).items()}
    for one in ones.values():
        one.weight.data, one.bias = (one.weight != 0).double(), None
        one.train(net.training)

    def hook(name):
        def add(module, args, output):
            found[name] += ones[name]((args[0] != 0).double()).sum().item()

        return add

    handles = [m.register_forward_hook(hook(n)) for n, m in layers(net).items()]
    run()
    for handle in handles:
        handle.remove()
    return found


def test_the_owner_adds_three_lines_and_an_import(case):
    added = [
        line.strip()
        for line in case.path.read_text(encoding="utf-8").splitlines()
        if line.endswith("# +")
    ]
    assert added[0] == "from spikeprune import Pruner, cut  # +"
    assert len(added) == 1 + 3
    script = case.run(r"# \+$")  # without them it is a script that trains a dense net
    assert "pruner" not in script
    assert all(bool(layer.weight.all()) for layer in layers(script["net"]).values())


def test_it_is_pruned_to_nine_tenths_by_counting(case):
    script = masked(case.path)
    pruner, net = script["pruner"], script["net"]
    weights = [layer.weight for layer in layers(net).values()]
    assert sum(int(w.count_nonzero()) for w in weights) == round(
        0.1 * sum(map(torch.numel, weights))
    )
    names = tuple(name.removesuffix(".surrogate_function") for name in pruner.wiring.neurons)
    assert names == NEURONS[case.name]
    if names:
        # One ranking of the whole net may leave a small layer without a weight, which is said.
        assert [note for note in pruner.notes if "no live weight is left" not in note] == []
        assert sum(event.regrown for event in pruner.events) > 0
    else:
        assert "weights are pruned by saliency alone" in pruner.notes[0]


def test_its_operations_are_those_counted_by_hand(case):
    script = masked(case.path)
    net, pruner, x, y = (script[name] for name in ("net", "pruner", "x", "y"))
    logits = answered(script, net, x)
    by_hand = counted(net, lambda: script["answer"](net, x))
    found = evaluate(
        net,
        [(x, y)],
        time_steps=script["T"],
        wiring=pruner.wiring,
        mask=pruner.mask,
        latency=False,
    )
    assert {row.name: row.synops * len(y) for row in found.layers} == pytest.approx(by_hand)
    assert found.synops_per_sample > 0
    assert found.test_accuracy == (logits.argmax(1) == y).double().mean().item()
    assert (found.firing_rate > 0) == bool(pruner.wiring.neurons)
    assert pruner.wiring.neurons or "no spiking neuron" in found.notes[0]


def test_a_cut_answers_as_the_masked_net_and_goes_through_files(case, tmp_path):
    script = case.run(r"^result = cut")
    net, x = script["net"], script["x"]
    expected = answered(script, net, x)
    result = cut(script["pruner"])
    torch.testing.assert_close(answered(script, result.model, x), expected, atol=1e-5, rtol=1e-5)
    save_cut(result, tmp_path)
    again = load_cut(script.get("Net", script.get("build"))(), tmp_path)
    assert torch.equal(answered(script, again, x), answered(script, result.model, x))
