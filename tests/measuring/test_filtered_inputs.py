"""Mean squares of filtered inputs against a loop over samples, steps, positions and weights."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from tests.foreign import plain
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.speedups import fuse, hoist
from spikeprune.errors import ModelError, ObservationError
from spikeprune.execution.forward import forward
from spikeprune.measuring import filtered_inputs as module_of_test
from spikeprune.measuring.filtered_inputs import FilteredInputs, low_passes, unfolded
from spikeprune.science.low_pass import LowPass
from spikeprune.wiring.trace import trace

T = 3


def naive(x, module, size, kernels):
    """Return E[(K x)^2] of `[T, B, C, *space]` by a loop; without kernels K is the mean."""
    steps, batch, channels = x.shape[:3]
    if not kernels:
        x, steps, kernels = x.mean(0, keepdim=True), 1, [LowPass(0.0)]
    shape = module.weight.shape[2:]
    total = torch.zeros(channels, *shape, dtype=torch.float64)
    for low_pass in kernels:
        potential = torch.zeros_like(x[0], dtype=torch.float64)
        for t in range(steps):
            potential = low_pass.decay * potential + low_pass.scale * x[t].double()
            for b, tap, out in itertools.product(
                range(batch),
                itertools.product(*map(range, shape)),
                itertools.product(*map(range, size)),
            ):
                place = [
                    o * s - p + k * d
                    for o, s, p, k, d in zip(
                        out, module.stride, module.padding, tap, module.dilation, strict=True
                    )
                ] if size else []  # fmt: skip
                if all(0 <= i < n for i, n in zip(place, x.shape[3:], strict=True)):
                    total[(slice(None), *tap)] += potential[(b, slice(None), *place)] ** 2
    count = len(kernels) * steps * batch
    for n in size:
        count *= n
    return total / count


def read_by(model, x, run):
    """Return what every layer read in each call and the size of its output, by name."""
    seen, handles = {}, []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):

            def note(module, args, output, name=name):
                axes = module.weight.ndim - 2
                sizes = tuple(output.shape[output.ndim - axes :]) if axes else ()
                seen.setdefault(name, []).append((args[0].detach().clone(), sizes))

            handles.append(module.register_forward_hook(note))
    with torch.no_grad():
        run(model, x)
    for handle in handles:
        handle.remove()
    return seen


def sequence(calls, module):
    """Return the calls of one forward as `[T, B, C, *space]`, and the size of the output."""
    x = (
        torch.stack([x for x, _ in calls])
        if calls[0][0].ndim == module.weight.ndim
        else calls[0][0]
    )
    return x, calls[0][1]


class Odd(nn.Module):
    """Groups, strides, dilation, a border of zeros, and neurons that leak at different speeds."""

    def __init__(self, mode, stride, dilation, groups, padding):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(4, 6, 3, stride=stride, padding=1),
            neuron.LIFNode(tau=1.5, v_threshold=0.1, decay_input=False),
            layer.Conv2d(6, 4, 3, dilation=dilation, groups=groups, padding=padding),
            neuron.ParametricLIFNode(init_tau=3.0, v_threshold=0.1),
            layer.Flatten(),
            layer.Linear(4 * self.places(stride, dilation, padding), 5),
            neuron.IFNode(v_threshold=0.2, v_reset=None),
            layer.Linear(5, 3),
        )
        functional.set_step_mode(self, mode)

    @staticmethod
    def places(stride, dilation, padding):
        side = (7 - 1) // stride + 1
        return (side + 2 * padding - 2 * dilation) ** 2

    def forward(self, x):
        return self.body(x)


def run_whole(model, x):
    functional.reset_net(model)
    return model(x)


def run_steps(model, x):
    functional.reset_net(model)
    return [model(one) for one in x]


EXPECTED = {
    "body.0": [LowPass(1 - 1 / 1.5)],
    "body.2": [LowPass(1 - 1 / 3.0, 1 / 3.0)],
    "body.5": [LowPass(1.0)],
    "body.7": [],
}


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from("ms"),
    st.integers(1, 2),
    st.integers(1, 2),
    st.sampled_from([1, 2]),
    st.integers(1, 2),
    st.integers(0, 99),
)
def test_the_map_is_that_of_a_loop(mode, stride, dilation, groups, padding, seed):
    torch.manual_seed(seed)
    model = Odd(mode, stride, dilation, groups, padding + 1).eval()
    x = torch.randn(T, 2, 4, 7, 7)
    run, layout = (run_whole, "sequence") if mode == "m" else (run_steps, "step")
    wiring = trace(model, x[0, :1], time_steps=T, layout=layout)
    read = read_by(model, x, run)
    with (
        torch.no_grad(),
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=False) as measured,
    ):
        run(model, x)
    found = measured.compute()
    assert found.keys() == EXPECTED.keys()
    for name, kernels in EXPECTED.items():
        module = model.get_submodule(name)
        steps, size = sequence(read[name], module)
        expected = naive(steps, module, size, kernels)
        assert [tuple(k) for k in low_passes(model, wiring, name)] == [
            pytest.approx(tuple(k)) for k in kernels
        ]
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-7)
    assert not any(m._forward_hooks for m in model.modules())


def measured_on(model, wiring, *batches, train=False):
    """Return the map over batches, each run from rest."""
    with (
        torch.no_grad(),
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=train) as found,
    ):
        for x in batches:
            forward(model, x, time_steps=T)
    return found.compute()


def small(**options):
    torch.manual_seed(0)
    net = {"widths": (4, 5), "strides": (2, 1), **options}
    model = zoo.build("vgg-small", classes=3, in_channels=1, image_size=16, time_steps=T, **net)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.0, 1.0)  # neurons fire
    return model


IMAGES = torch.rand(2, 6, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_fused_neurons_and_hoisted_layers_measure_the_same():
    model = small().eval()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    expected = measured_on(model, wiring, *IMAGES)
    assert fuse(model).fused
    assert hoist(model)
    found = measured_on(model, wiring, *IMAGES)
    assert expected.keys() == found.keys() == wiring.layers.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-8)
        assert float(expected[name].sum()) > 0


def test_batches_of_any_size_give_the_mean_over_samples():
    model = small().eval()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    whole = measured_on(model, wiring, IMAGES.flatten(0, 1))
    parts = measured_on(model, wiring, *IMAGES.flatten(0, 1).split([5, 4, 3]))
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])


def test_forwards_in_the_other_mode_are_left_out():
    model = small().train()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    found = FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=True)
    with torch.no_grad(), found:
        forward(model, IMAGES[0], time_steps=T)
        before = found.compute()
        forward(model.eval(), IMAGES[1], time_steps=T)
    after = found.compute()
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_a_window_under_way_goes_on_after_a_resume():
    model = small().eval()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    whole, half, rest = (
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=False) for _ in range(3)
    )
    with torch.no_grad():
        whole.arm()
        half.arm()
        forward(model, IMAGES[0], time_steps=T)
        state = half.state_dict()
        half.disarm()
        rest.load_state_dict(state)
        forward(model, IMAGES[1], time_steps=T)
    found, expected = rest.compute(), whole.compute()
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    rest.load_state_dict({"armed": False, "layers": {}})
    whole.disarm()
    assert not any(m._forward_hooks for m in model.modules())


class Fork(nn.Module):
    """A first layer that runs once, and feeds two neurons that leak at different speeds."""

    def __init__(self):
        super().__init__()
        self.first, self.a, self.b = nn.Linear(4, 5), neuron.IFNode(), neuron.LIFNode(tau=2.0)
        self.left, self.right = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        drive, total = self.first(x), 0
        for _ in range(T):
            total = total + self.left(self.a(drive)) + self.right(self.b(drive))
        return total


def test_several_neurons_give_their_mean_and_a_layer_may_run_once():
    torch.manual_seed(0)
    model, x = Fork().eval(), torch.rand(5, 4)
    wiring = trace(model, x[:1], time_steps=T, layout="batch")
    assert wiring.layers["first"].reads.once
    assert set(low_passes(model, wiring, "first")) == {LowPass(1.0), LowPass(0.5, 0.5)}
    with (
        torch.no_grad(),
        FilteredInputs(model, wiring, ["first"], time_steps=T, train=False) as found,
    ):
        run_whole(model, x)
    growing, leaking = (1 + 4 + 9) / 3, (0.5**2 + 0.75**2 + 0.875**2) / 3
    expected = x.double().square().mean(0) * (growing + leaking) / 2
    torch.testing.assert_close(found.compute()["first"], expected, rtol=1e-6, atol=0)


class Backwards(nn.Module):
    """Samples come before time in what the layers read, as one axis."""

    def __init__(self):
        super().__init__()
        self.a, self.spike, self.b = (
            nn.Linear(4, 5),
            neuron.LIFNode(tau=2.0, step_mode="m"),
            nn.Linear(5, 3),
        )

    def forward(self, x):  # [T, B, F]
        steps, batch = x.shape[:2]
        drive = self.a(x.transpose(0, 1).reshape(batch * steps, -1))
        spikes = self.spike(drive.view(batch, steps, -1).transpose(0, 1))
        return self.b(spikes)


def test_time_is_found_where_samples_come_first():
    torch.manual_seed(0)
    model, x = Backwards().eval(), torch.rand(T, 5, 4)
    wiring = trace(model, x[0, :1], time_steps=T, layout="sequence")
    assert wiring.layers["a"].reads.axes.form == "(B T)"
    with torch.no_grad(), FilteredInputs(model, wiring, ["a"], time_steps=T, train=False) as found:
        run_whole(model, x)
    expected = naive(x, model.a, (), [LowPass(0.5, 0.5)])
    torch.testing.assert_close(found.compute()["a"], expected)


def test_what_cannot_be_filtered_is_refused():
    def refused(model, x, steps, why):
        wiring = trace(model, x, time_steps=steps)
        with pytest.raises(
            ModelError, match=f"as the membrane does it: {why}.*; exclude the layer"
        ):
            FilteredInputs(model, wiring, wiring.layers, time_steps=steps, train=False)

    torch.manual_seed(0)
    states, x = plain.States(), torch.rand(2, 12)
    refused(states, x, plain.T, "how the potential of neuron 'lif1' decays is not known")
    refused(states, x, plain.T + 1, "its axes of time and samples cannot be told, or it runs ano")
    up = [layer.ConvTranspose2d(2, 3, 2), neuron.LIFNode(), layer.Flatten(), layer.Linear(75, 2)]
    refused(nn.Sequential(*up), torch.rand(1, 2, 4, 4), T, "it is a transposed convolution")


class Stretched(neuron.LIFNode):
    """A neuron of a class of its own, which may charge as it likes."""


def test_the_filter_of_a_class_of_ones_own_is_not_known():
    model = nn.Sequential(layer.Linear(4, 3), Stretched(), layer.Linear(3, 2))
    functional.set_step_mode(model, "m")
    wiring = trace(model, torch.rand(1, 4), time_steps=T)
    with pytest.raises(ModelError, match="neuron '1' decays is not known"):
        low_passes(model, wiring, "0")
    assert low_passes(model, wiring, "2") == ()


def test_a_layer_that_does_not_run_is_an_error():
    model = small().eval()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    found = FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=True)
    with found:
        forward(model, IMAGES[0], time_steps=T)
    with pytest.raises(ObservationError, match="to run while it is observed"):
        found.compute()


def test_another_number_of_steps_is_an_error():
    model = Odd("m", 1, 1, 1, 2).eval()
    wiring = trace(model, torch.rand(1, 4, 7, 7), time_steps=T, layout="sequence")
    with (
        torch.no_grad(),
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=False),
        pytest.raises(ObservationError, match="with 3 steps, as in the trace"),
    ):
        run_whole(model, torch.rand(T + 1, 2, 4, 7, 7))


# -- products ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([nn.Conv1d, nn.Conv2d, nn.Conv3d]),
    st.sampled_from([1, 2]),
    st.integers(1, 2),
    st.integers(1, 2),
    st.sampled_from([0, 1, "same"]),
    st.sampled_from(["zeros", "circular"]),
)
def test_unfolded_inputs_times_the_weights_are_the_layer(kind, groups, stride, dilation, pad, mode):
    torch.manual_seed(0)
    stride = 1 if pad == "same" else stride
    sizes = {"stride": stride, "dilation": dilation, "padding": pad, "padding_mode": mode}
    module = kind(4, 6, 3, groups=groups, bias=False, **sizes)
    x = torch.randn(3, 4, *[6] * (module.weight.ndim - 2))
    rows = unfolded(module, x)
    weights = module.weight.reshape(groups, 6 // groups, -1)
    found = torch.einsum("ngd,god->ngo", rows, weights).reshape(len(rows), -1)
    expected = module(x).movedim(1, -1).reshape(-1, 6)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("mode", ["m", "s"])
def test_the_diagonal_of_the_products_is_the_mean_of_the_squares(mode):
    torch.manual_seed(0)
    model, x = Odd(mode, 2, 1, 2, 2).eval(), torch.randn(T, 2, 4, 7, 7)
    run, layout = (run_whole, "sequence") if mode == "m" else (run_steps, "step")
    wiring = trace(model, x[0, :1], time_steps=T, layout=layout)
    squares, products, resumed = (
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=False, products=kind)
        for kind in (False, True, True)
    )
    with torch.no_grad(), squares, products:
        run(model, x)
        resumed.load_state_dict(products.state_dict())
    expected, found, again = squares.compute(), products.compute(), resumed.compute()
    resumed.disarm()
    for name, square in expected.items():
        weight = model.get_submodule(name).weight
        diagonal = found[name].diagonal(dim1=1, dim2=2)
        assert diagonal.shape[1] == weight[0].numel()
        torch.testing.assert_close(diagonal.reshape(square.shape), square, rtol=1e-5, atol=1e-8)
        assert torch.equal(found[name], again[name])


def test_products_that_memory_would_not_hold_are_refused(monkeypatch):
    model = small().eval()
    wiring = trace(model, IMAGES[0, :1], time_steps=T)
    monkeypatch.setattr(module_of_test, "PRODUCTS_BYTES", 10_000)
    words = r"would take 0\.0 GiB, and 0\.0 are the most; '.*' has .* exclude it, or use saliency"
    with pytest.raises(ModelError, match=words):
        FilteredInputs(model, wiring, wiring.layers, time_steps=T, train=False, products=True)
