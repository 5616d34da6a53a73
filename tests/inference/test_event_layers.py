import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

pytest.importorskip("numba", reason="numba is not installed")

from spikeprune.adapters.speedups import fuse, infer_by, unfuse
from spikeprune.errors import ConfigError
from spikeprune.inference import event_layers
from spikeprune.inference.event_layers import (
    KERNELS,
    EventDrivenLayer,
    EventDrivenPool,
    fire,
    spread,
)

NODES = {
    "IF": lambda **o: neuron.IFNode(**o),
    "LIF": lambda **o: neuron.LIFNode(tau=2.0, **o),
    "LIF, odd tau": lambda **o: neuron.LIFNode(tau=4 / 3, **o),
    "LIF, input kept": lambda **o: neuron.LIFNode(tau=2.0, decay_input=False, **o),
    "LIF, input kept, odd tau": lambda **o: neuron.LIFNode(tau=3.0, decay_input=False, **o),
    "PLIF": lambda **o: neuron.ParametricLIFNode(init_tau=1.7, **o),
    "PLIF, input kept": lambda **o: neuron.ParametricLIFNode(init_tau=1.7, decay_input=False, **o),
}


def sparse(module, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        module.weight.mul_(torch.rand(module.weight.shape, generator=generator) < density)
    return module.requires_grad_(False)


def inputs(*shape, rate=0.3, analog=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(shape, generator=generator) < rate).float()
    return spikes * torch.randn(shape, generator=generator) if analog else spikes


def check(module, x, parts=1):
    space = module.weight.ndim - 2
    lead = x.shape[: x.ndim - space - 1]
    expected = module(x.reshape(-1, *x.shape[len(lead) :]))
    expected = expected.reshape(*lead, *expected.shape[1:])
    for kernel in KERNELS:
        found = EventDrivenLayer(module, kernel, parts)(x)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, msg=kernel)
    return expected


axis = st.fixed_dictionaries(
    {
        "kernel": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 4),
        "dilation": st.integers(1, 2),
        "extra": st.integers(0, 8),
    }
)


@settings(max_examples=60)
@given(
    y=axis,
    x=axis,
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    lead=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    bias=st.booleans(),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    parts=st.integers(1, 3),
    analog=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_convolution_is_that_of_pytorch(
    y, x, groups, channels, lead, bias, density, parts, analog, seed
):
    names = {"kernel": "kernel_size", "stride": "stride", "padding": "padding"}
    both = {v: (y[k], x[k]) for k, v in (names | {"dilation": "dilation"}).items()}
    torch.manual_seed(seed)
    module = nn.Conv2d(channels[0] * groups, channels[1] * groups, bias=bias, groups=groups, **both)
    size = [a["dilation"] * (a["kernel"] - 1) + 1 + a["extra"] for a in (y, x)]
    given_inputs = inputs(*lead, channels[0] * groups, *size, analog=analog, seed=seed)
    check(sparse(module, density, seed), given_inputs, parts)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_by_name(kernel):
    for padding in ("same", "valid"):
        module = sparse(nn.Conv2d(3, 5, kernel, padding=padding), 0.4)
        assert check(module, inputs(2, 1, 3, 7, 6)).abs().sum() > 0


def test_linear_layers_and_one_axis():
    check(sparse(nn.Linear(40, 9), 0.2), inputs(4, 3, 40), parts=2)
    check(sparse(nn.Linear(40, 3, bias=False), 0.2), inputs(4, 40, analog=True))
    check(sparse(nn.Conv1d(6, 4, 3, padding=1, stride=2, groups=2), 0.5), inputs(3, 2, 6, 11))


def test_as_many_slices_as_there_are_and_again_with_other_sizes():
    module = sparse(nn.Conv2d(2, 3, 3, padding=1), 0.5)
    for kernel in KERNELS:
        ours = EventDrivenLayer(module, kernel)
        for count, size in [(1, 5), (17, 5), (34, 5), (5, 4), (5, 5)]:
            x = inputs(count, 2, size, size, seed=count)
            torch.testing.assert_close(ours(x), module(x), rtol=0, atol=1e-5)
        assert torch.equal(copy.deepcopy(ours)(x), ours(x))


def test_results_do_not_share_memory():
    module = sparse(nn.Conv2d(2, 3, 1), 1.0)
    for kernel in KERNELS:
        ours = EventDrivenLayer(module, kernel)
        first = ours(inputs(4, 2, 3, 3, seed=1))
        kept = first.clone()
        ours(inputs(4, 2, 3, 3, seed=2))
        assert torch.equal(first, kept)


def test_strided_inputs_and_other_dtypes():
    module = sparse(nn.Conv2d(2, 3, 3), 0.5)
    x = inputs(4, 5, 6, 2).permute(0, 3, 1, 2)
    check(module, x)
    for kernel in KERNELS:
        ours = EventDrivenLayer(copy.deepcopy(module).double(), kernel)
        assert torch.equal(ours(x.double()), ours.dense(x.double()))


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d((2, 3), (1, 2), (1, 0)),
        layer.MaxPool2d(2),
    ],
    ids=str,
)
def test_max_pools(pool):
    assert EventDrivenPool.fits(pool)
    x = inputs(3, 4, 9, 7, analog=True) - 0.1
    assert torch.equal(EventDrivenPool(pool)(x), pool(x))
    assert torch.equal(EventDrivenPool(pool)(x.double()), pool(x.double()))
    assert EventDrivenPool(pool)(x[None]).shape == (1, *pool(x).shape)


def test_pools_that_do_more_are_left():
    assert not EventDrivenPool.fits(nn.MaxPool2d(2, ceil_mode=True))
    assert not EventDrivenPool.fits(nn.MaxPool2d(2, dilation=2))
    assert not EventDrivenPool.fits(nn.MaxPool2d(2, return_indices=True))
    assert not EventDrivenPool.fits(nn.AvgPool2d(2))


@pytest.mark.parametrize("kind", NODES)
@pytest.mark.parametrize("reset", [0.0, -0.3, None])
def test_neurons_fire_the_same_spikes_bit_for_bit(kind, reset):
    options = {"v_reset": reset, "v_threshold": 0.9, "step_mode": "m"}
    theirs = NODES[kind](surrogate_function=surrogate.ATan(), **options)
    ours = copy.deepcopy(theirs)
    fuse(ours)
    assert infer_by(ours, fire) == ("",)
    with torch.no_grad():
        for seed in (1, 2):  # the second time with what the first left behind
            x = 2 * inputs(5, 2, 3, 7, rate=0.9, analog=True, seed=seed)
            spikes = ours(x)
            assert torch.equal(spikes, theirs(x))
            assert torch.equal(ours.v, theirs.v)
            assert 0 < spikes.mean() < 1
    assert theirs.reset() is None
    ours.reset()
    x.requires_grad_()
    assert ours(x).requires_grad  # with gradients the neuron is its own
    unfuse(ours)
    assert type(ours) is type(theirs)
    assert vars(ours).keys() == vars(theirs).keys()


def test_neurons_of_other_dtypes_are_left():
    assert fire(torch.zeros(2, 3, dtype=torch.float64), 0.0, None) is None
    assert fire(torch.zeros(2, 3), torch.zeros(3, dtype=torch.float64), None) is None


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_a_task_covers_its_range_once(parts):
    done = np.zeros(10, int)

    def task(first, last):
        done[first:last] += 1

    spread(task, 10, parts)
    assert done.tolist() == [1] * 10


def test_what_a_thread_raises_is_raised():
    def task(first, last):
        if first == 0:
            raise KeyError("first")

    with pytest.raises(KeyError):
        spread(task, 10, 2)


def test_settings_of_numba_in_the_current_folder_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: theirs\n")
    with pytest.raises(ConfigError, match=r"a file .numba_config.yaml, by which numba would read"):
        event_layers._kernels.__wrapped__()
