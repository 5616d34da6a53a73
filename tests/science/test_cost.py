import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spikeprune.errors import ConfigError, ModelError
from spikeprune.science.cost import (
    AC_PJ,
    MAC_PJ,
    conv_fan_out,
    conv_reads,
    dense_macs,
    energy_nj,
    is_spikes,
    matmul_synops,
    scoring_flops,
    synops,
    training_flops,
    transposed_reads,
    weight_costs,
)


def conv_synops(counts, weight, *, groups=1, **geometry):
    return synops(conv_reads(counts, weight.shape[2:], **geometry), weight, groups)


def slow_conv_synops(x, weight, **geometry):
    """The definition: convolve each binarised input with the binarised weight, and sum up."""
    convolve = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[weight.ndim]
    ones = [(t != 0).double() for t in (x, weight)]
    return sum(int(convolve(one[None], ones[1], **geometry).sum().round()) for one in ones[0])


def counts_of(x):
    return (x != 0).sum(0)


def sparse(shape, seed, density=0.4):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    return values * (torch.rand(shape, generator=generator) < density)


@st.composite
def convolutions(draw):
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    per_axis = lambda low, high: draw(  # noqa: E731
        st.lists(st.integers(low, high), min_size=axes, max_size=axes)
    )
    kernel, stride, padding, dilation = (
        per_axis(1, 3),
        per_axis(1, 4),
        per_axis(0, 3),
        per_axis(1, 3),
    )
    space = [
        max(d * (k - 1) + 1 - 2 * p, 1) + extra
        for k, p, d, extra in zip(kernel, padding, dilation, per_axis(0, 4), strict=True)
    ]
    groups = draw(st.integers(1, 3))
    inputs, outputs = (groups * draw(st.integers(1, 2)) for _ in range(2))
    seed = draw(st.integers(0, 2**20))
    x = sparse((draw(st.integers(1, 3)), inputs, *space), seed)
    weight = sparse((outputs, inputs // groups, *kernel), seed + 1)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return x, weight, geometry


@settings(deadline=None, max_examples=150)
@given(convolutions())
def test_conv_synops_equal_the_convolution_of_binarised_tensors(case):
    x, weight, geometry = case
    size = slow_output_size(x, weight, geometry)
    fast = conv_synops(counts_of(x), weight, output_size=size, **geometry)
    assert fast == slow_conv_synops(x, weight, **geometry)


def slow_output_size(x, weight, geometry):
    convolve = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[weight.ndim]
    return convolve(x, weight, **geometry).shape[2:]


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_reads_of_values_are_the_gradient_of_the_convolution(case):
    """Value-weighted operations: autograd of the convolution's sum, for a weight of ones."""
    x, weight, geometry = case
    values = x.double().abs()
    ones = torch.ones(weight.shape, dtype=torch.float64, requires_grad=True)
    convolve = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[weight.ndim]
    convolve(values, ones, **geometry).sum().backward()
    groups = geometry.pop("groups")
    size = slow_output_size(x, weight, {**geometry, "groups": groups})
    reads = conv_reads(values.sum(0), weight.shape[2:], output_size=size, **geometry)
    per_group = ones.grad.reshape(groups, -1, *weight.shape[1:])[:, 0]
    torch.testing.assert_close(reads, per_group.reshape(reads.shape))


@settings(deadline=None, max_examples=40)
@given(convolutions())
def test_every_sample_is_counted(case):
    x, weight, geometry = case
    size = slow_output_size(x, weight, geometry)
    apart = [conv_synops(counts_of(s[None]), weight, output_size=size, **geometry) for s in x]
    assert conv_synops(counts_of(x), weight, output_size=size, **geometry) == sum(apart)


def test_a_convolution_by_hand():
    # One channel of 3x3, all spikes; 3x3 kernel, padding 1, all weights live: the centre is read
    # by 9 positions, edges by 6, corners by 4.
    counts = torch.ones(1, 3, 3, dtype=torch.long)
    weight = torch.ones(1, 1, 3, 3)
    assert conv_synops(counts, weight, padding=1, output_size=(3, 3)) == 9 + 4 * 6 + 4 * 4
    weight[0, 0, 0] = 0  # the kernel's top row: it reads the upper two rows, 2 + 3 + 2 each
    assert conv_synops(counts, weight, padding=1, output_size=(3, 3)) == 49 - 2 * 7
    assert conv_synops(2 * counts, weight, padding=1, output_size=(3, 3)) == 2 * 35


def test_a_stride_that_skips_positions_by_hand():
    # Kernel 1, stride 2 on five positions: 0, 2 and 4 are read, by two live weights of three.
    counts = torch.tensor([[1, 10, 100, 1000, 10000]])
    weight = torch.tensor([1.0, 0.0, -2.0]).reshape(3, 1, 1)
    assert conv_synops(counts, weight, stride=2, output_size=(3,)) == 2 * 10101


def test_a_kernel_position_that_only_meets_padding_reads_nothing():
    reads = conv_reads(torch.tensor([[7]]), (3,), padding=1, output_size=(1,))
    assert reads.tolist() == [[0, 7, 0]]


def test_groups_keep_to_their_own_channels():
    weight = torch.zeros(4, 1, 1)
    weight[3] = 1.0
    assert conv_fan_out(weight, 2).tolist() == [[0], [1]]
    assert conv_synops(torch.tensor([[5], [7]]), weight, groups=2, output_size=(1,)) == 7


def test_a_linear_layer_by_hand():
    weight = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, -1.0]])
    assert synops(torch.tensor([2, 4, 8]), weight) == 2 * 1 + 4 * 0 + 8 * 2


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 999))
def test_linear_synops_equal_the_product_of_binarised_tensors(inputs, outputs, samples, seed):
    x, weight = sparse((samples, inputs), seed), sparse((outputs, inputs), seed + 1)
    slow = functional.linear((x != 0).double(), (weight != 0).double()).sum()
    assert synops(counts_of(x), weight) == int(slow)


def test_counts_beyond_float32_stay_exact():
    count = 2**40 + 1
    assert synops(torch.tensor([count]), torch.ones(3, 1)) == 3 * count


def test_a_dense_layer_on_dense_input_reaches_the_dense_macs():
    weight = torch.ones(4, 2, 3, 3)
    counts = torch.ones(2, 6, 6, dtype=torch.long)
    assert conv_synops(counts, weight, output_size=(4, 4)) == dense_macs(weight.shape, (4, 4))
    assert dense_macs(weight.shape, (4, 4)) == 4 * 2 * 9 * 16
    assert dense_macs((10, 64)) == 640


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (torch.ones(2, 4, 4), "expected integer counts with 2 channels"),
        (torch.ones(3, 4, 4, dtype=torch.long), "expected integer counts with 2 channels"),
        (torch.ones(2, 4, dtype=torch.long), "expected counts .* with 2 space axes"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts, message):
    with pytest.raises(ModelError, match=message):
        conv_synops(counts, torch.ones(1, 2, 1, 1), output_size=(4, 4))


def test_linear_counts_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="3 channels"):
        synops(torch.ones(4, dtype=torch.long), torch.ones(2, 3))


def test_an_output_size_of_other_axes_is_refused():
    with pytest.raises(ModelError, match="2 space axes"):
        conv_reads(torch.ones(1, 4, 4), (3, 3), output_size=(4,))


def test_energy_constants():
    assert (MAC_PJ, AC_PJ) == (4.6, 0.9)
    assert energy_nj(1000, 0) == pytest.approx(4.6)
    assert energy_nj(0, 1000) == pytest.approx(0.9)
    assert energy_nj(2000, 3000) == pytest.approx(2 * 4.6 + 3 * 0.9)


def test_training_flops():
    # Two steps of batch 3, T = 4, 100 MACs a slice.
    assert training_flops(100 * 4, 2 * 3) == 2 * 100 * 4 * 6 * 3
    assert training_flops(400, 6, density=1.0) == training_flops(400, 6)
    assert training_flops(400, 6, density=0.0) == 2 * 400 * 6
    assert training_flops(400, 6, density=0.25) == 2 * 400 * 6 * 1.5
    assert scoring_flops(400, 6) == 2 * 400 * 6
    assert scoring_flops(400, 6, density=0.5) == 400 * 6


@pytest.mark.parametrize("density", [-0.1, 1.1, float("nan")])
def test_a_density_outside_its_range_is_refused(density):
    with pytest.raises(ConfigError, match=r"density in \[0, 1\]"):
        training_flops(1, 1, density=density)


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        ((7,), (3,), {}),
        ((6, 5), (3, 2), {"stride": 2}),
        ((6, 5), (3, 4), {"stride": (2, 1), "padding": (1, 2)}),
        ((4, 4, 3), (2, 3, 2), {"stride": 2, "padding": 1, "dilation": (1, 2, 1)}),
        ((5,), (4,), {"stride": 3, "padding": 2, "output_padding": 2}),
    ],
)
def test_transposed_reads_are_the_operations_of_a_transposed_convolution(size, kernel, options):
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 4, (3, *size), generator=generator)
    weight = torch.randint(0, 2, (3, 2, *kernel), generator=generator).double()
    run = getattr(torch.nn.functional, f"conv_transpose{len(size)}d")
    out = run(counts[None].double(), weight, **options)
    padded = {k: v for k, v in options.items() if k != "output_padding"}
    reads = transposed_reads(counts, kernel, output_size=out.shape[2:], **padded)
    assert int((reads * weight.sum(1).long()).sum()) == int(out.sum())


def test_terms_of_a_product_by_hand():
    left = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]])
    right = torch.tensor([[[1.0, 1.0], [1.0, 0.0], [0.0, 5.0]]])
    assert matmul_synops(left, right) == 1 * 2 + 0 * 1 + 2 * 1


def test_spikes_may_be_rounded():
    assert is_spikes(torch.tensor([0.0, 1.0, 0.9999999]))
    assert not is_spikes(torch.tensor([0.0, 1.0, 0.99]))


@pytest.mark.parametrize(
    ("shape", "operands", "transposed"),
    [
        ((6, 4, 3, 3), (4, 3, 3), False),
        ((6, 2, 3, 3), (4, 3, 3), False),  # two groups
        ((4, 1, 3), (4, 3), False),  # depthwise
        ((5, 7), (7,), False),
        ((4, 6, 3, 3), (4, 3, 3), True),
    ],
)
def test_costs_of_all_weights_sum_to_the_operations_of_the_layer(shape, operands, transposed):
    generator = torch.Generator().manual_seed(0)
    reads = torch.randint(0, 9, operands, generator=generator)
    live = torch.rand(shape, generator=generator) < 0.5
    costs = weight_costs(live, reads, transposed=transposed)
    fan_out = live.sum(1) if transposed else conv_fan_out(live, operands[0] // shape[1])
    assert int((costs * live).sum()) == int((reads * fan_out).sum())


@pytest.mark.parametrize("operands", [(3, 3, 3), (4, 2, 2), (4,)])
def test_operands_of_another_layer_are_refused(operands):
    with pytest.raises(ModelError, match=r"operands of each input channel and kernel position"):
        weight_costs(torch.empty(6, 4, 3, 3), torch.ones(operands))
