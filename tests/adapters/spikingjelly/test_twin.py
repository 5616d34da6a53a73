"""Twins of SpikingJelly's neurons: they share parameters, and report without a trace."""

import torch
from spikingjelly.activation_based import neuron, surrogate

from spikeprune.adapters.spikingjelly.twin import replay, twin_of


def test_a_replay_reports_each_step_and_leaves_the_neuron_alone():
    node = neuron.IFNode(step_mode="m", surrogate_function=surrogate.ATan())
    node(torch.tensor([[0.25]]))
    before, surrogate_before = node.v.clone(), node.surrogate_function
    seen = []
    replay(node, lambda u: seen.append(u.item()), (torch.tensor([[0.5], [0.5], [0.5]]),), {})
    assert seen == [-0.25, 0.25, -0.5]  # H is 0.75, 1.25 and, after the reset, 0.5
    assert torch.equal(node.v, before)
    assert node.surrogate_function is surrogate_before


def test_a_replay_takes_inputs_by_name():
    seen = []
    replay(neuron.IFNode(), seen.append, (), {"x": torch.tensor([[3.0]])})
    assert torch.cat(seen).tolist() == [[2.0]]


def test_a_twin_shares_parameters_and_owns_state_and_buffers():
    node = neuron.MPBNLIFNode(out_channels=2)
    node(torch.randn(3, 2, 4, 4))
    twin = twin_of(node)
    assert type(twin) is type(node)
    for (name, ours), theirs in zip(node.named_parameters(), twin.parameters(), strict=True):
        assert ours is theirs, name
    for (name, ours), theirs in zip(node.named_buffers(), twin.buffers(), strict=True):
        assert torch.equal(ours, theirs), name
        assert ours is not theirs, name
    state = node.v.clone()
    twin(torch.randn(3, 2, 4, 4))
    assert torch.equal(node.v, state)
    assert node.vbn.num_batches_tracked == 1
    assert twin.vbn.num_batches_tracked == 2
