"""One forward for every layout, and the batches and modes around it."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.errors import ConfigError, DataError, ModelError
from spikeprune.execution.forward import (
    LAYOUTS,
    evaluating,
    forward,
    is_static,
    of_size,
    predict,
    same_draws,
)

T, B, F, K = 3, 2, 5, 4


def net(step_mode):
    torch.manual_seed(0)
    return nn.Sequential(
        layer.Linear(F, 6, step_mode=step_mode),
        neuron.LIFNode(step_mode=step_mode),
        layer.Linear(6, K, step_mode=step_mode),
    ).eval()


class OwnLoop(nn.Module):
    """Takes `[B, F]` (or `[B, T, F]`) and loops over time itself."""

    def __init__(self, reduce):
        super().__init__()
        self.inner, self.reduce = net("s"), reduce

    def forward(self, x):
        slices = [x] * T if x.ndim == 2 else x.unbind(1)
        steps = torch.stack([self.inner(s) for s in slices])
        return steps.mean(0) if self.reduce else steps


@pytest.fixture
def static():
    return 3 * torch.rand(B, F, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def recordings():
    return 3 * torch.rand(T, B, F, generator=torch.Generator().manual_seed(2))


def test_what_is_static():
    assert [is_static(torch.zeros([1] * axes)) for axes in (2, 3, 4, 5)] == [1, 0, 1, 0]


@pytest.mark.parametrize("kind", ["static", "recordings"])
def test_layouts_agree(kind, request):
    x = request.getfixturevalue(kind)
    models = {"sequence": net("m"), "step": net("s"), "batch": OwnLoop(reduce=False)}
    assert tuple(models) == LAYOUTS
    logits = [forward(m, x, time_steps=T, layout=name) for name, m in models.items()]
    assert logits[0].shape == (T, B, K)
    torch.testing.assert_close(logits[1], logits[0])
    torch.testing.assert_close(logits[2], logits[0])
    averaged = forward(OwnLoop(reduce=True), x, time_steps=T, layout="batch")
    torch.testing.assert_close(averaged, logits[0].mean(0, keepdim=True))


def test_half_precision_becomes_the_model_s_and_logits_are_float32(static):
    model = net("m")
    expected = forward(model, static.bfloat16().float(), time_steps=T)
    assert torch.equal(forward(model, static.bfloat16(), time_steps=T), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model[0](static).dtype == torch.bfloat16
        assert forward(model, static, time_steps=T).dtype == torch.float32
    assert forward(model.double(), static, time_steps=T).dtype == torch.float64


@pytest.mark.parametrize("layout", LAYOUTS)
def test_state_is_reset_before(layout, static):
    model = {"sequence": net("m"), "step": net("s"), "batch": OwnLoop(reduce=False)}[layout]
    first = forward(model, static, time_steps=T, layout=layout)
    assert torch.equal(forward(model, static, time_steps=T, layout=layout), first)
    assert forward(model, static[:1], time_steps=T, layout=layout).shape == (T, 1, K)


def test_gradients_flow(static):
    model = net("m")
    forward(model, static, time_steps=T).sum().backward()
    assert model[0].weight.grad is not None


def small_vgg(**arguments):
    torch.manual_seed(0)
    return zoo.build(
        "vgg-small", classes=K, in_channels=1, image_size=8, time_steps=T, widths=(4, 6),
        strides=(2, 1), **arguments,
    ).eval()  # fmt: skip


def test_a_model_that_accepts_static_gets_the_batch_as_it_is():
    model = small_vgg()
    shapes = []
    model.register_forward_pre_hook(lambda m, args: shapes.append(tuple(args[0].shape)))
    x = torch.rand(B, 1, 8, 8)
    once = forward(model, x, time_steps=T)
    model.accepts_static = False
    expanded = forward(model, x, time_steps=T)
    assert shapes == [(B, 1, 8, 8), (T, B, 1, 8, 8)]
    torch.testing.assert_close(once, expanded)
    wrapped = nn.Module()
    wrapped.module = model
    wrapped.forward = lambda x: model(x)
    model.accepts_static = True
    torch.testing.assert_close(forward(wrapped, x, time_steps=T), once)
    assert shapes[-1] == (B, 1, 8, 8)


def test_an_unknown_layout_lists_the_valid_ones(static):
    with pytest.raises(ConfigError, match="batch, sequence, step"):
        forward(net("m"), static, time_steps=T, layout="time-first")


def test_recordings_of_another_number_of_steps_are_refused(recordings):
    with pytest.raises(DataError, match="expected recordings of 4 time steps"):
        forward(net("m"), recordings, time_steps=4)


@pytest.mark.parametrize(
    ("model", "layout", "advice"),
    [
        (OwnLoop(reduce=True), "sequence", "'batch' if it loops"),
        (OwnLoop(reduce=False), "step", "'sequence' if it takes all"),
        (nn.Sequential(net("m"), nn.Flatten(0, 1)), "sequence", r"got \(6, 4\)"),
        (nn.Sequential(net("s"), nn.Unflatten(1, (2, 2))), "step", r"got \(3, 2, 2, 2\)"),
        (nn.Sequential(net("s"), nn.Flatten(0)), "batch", r"got \(8,\)"),
    ],
)
def test_outputs_of_another_shape_name_the_layout_to_try(model, layout, advice, static):
    with pytest.raises(ModelError, match=advice):
        forward(model, static, time_steps=T, layout=layout)


def test_an_output_that_is_no_tensor_is_refused(static):
    model = net("m")
    model.register_forward_hook(lambda module, args, output: (output, output))
    with pytest.raises(ModelError, match="got tuple"):
        forward(model, static, time_steps=T)


def test_a_model_with_other_time_steps_is_refused():
    with pytest.raises(ModelError, match=r"\[4, 2, K\].*got \(3, 2, 4\)"):
        forward(small_vgg(), torch.rand(B, 1, 8, 8), time_steps=4)


def test_a_model_without_neurons_runs_like_any_other(static):
    model = nn.Linear(F, K)
    logits = forward(model, static, time_steps=T)
    assert torch.equal(logits, model(static.expand(T, *static.shape)))


def test_predict_takes_the_mean_over_time():
    logits = torch.tensor([[[5.0, 0.0], [0.0, 1.0]], [[0.0, 4.0], [0.0, 1.0]]])
    assert predict(logits).tolist() == [0, 1]


@pytest.mark.parametrize(("size", "expected"), [(2, [0, 1]), (5, [0, 1, 2, 0, 1])])
def test_a_batch_of_a_given_size_repeats_samples(size, expected):
    samples = torch.arange(3.0)
    static = samples.view(3, 1).expand(3, 4)
    assert of_size(static, size)[:, 0].tolist() == expected
    recordings = samples.view(1, 3, 1).expand(T, 3, 4)
    assert of_size(recordings, size).shape == (T, size, 4)
    assert of_size(recordings, size)[1, :, 0].tolist() == expected


def fail_while_evaluating(model):
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        raise RuntimeError("stop")


def test_every_module_gets_its_own_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).train()
    model[1].eval()
    with pytest.raises(RuntimeError, match="stop"):
        fail_while_evaluating(model)
    assert [module.training for module in model.modules()] == [True, True, False]


class Audio(nn.Module):
    """A first layer over a line, behind which nothing says how many axes an image has."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv1d(2, 4, 3), nn.Linear(4, K)

    def forward(self, x):
        lead = x.shape[:-2]
        return self.out(self.conv(x.flatten(0, -3)).mean(-1)).unflatten(0, lead)


def test_the_first_layer_says_how_many_axes_a_sample_has():
    model, x = Audio(), torch.rand(5, 2, 9)
    assert is_static(x, model)
    assert not is_static(x.expand(T, *x.shape), model)
    assert not is_static(x)  # without the model it would be taken for [T, B, F]
    assert forward(model, x, time_steps=T).shape == (T, 5, K)
    assert forward(model, x.expand(T, *x.shape), time_steps=T).shape == (T, 5, K)


@pytest.mark.parametrize("batch", [T, T + 2])
@pytest.mark.parametrize("first", ["time", "batch", "neither"])
def test_logits_of_every_order_are_told(batch, first):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(F, K)

        def forward(self, x):
            steps = torch.stack([t * self.fc(x) for t in range(T)])
            if first == "neither":
                return steps.mean(0)
            return steps if first == "time" else steps.transpose(0, 1)

    model, x = Net(), torch.rand(batch, F)
    expected = torch.stack([t * model.fc(x) for t in range(T)])
    expected = expected.mean(0, keepdim=True) if first == "neither" else expected
    for layout in ("batch", lambda net, x: net(x)):
        torch.testing.assert_close(forward(model, x, time_steps=T, layout=layout), expected)


def test_recordings_by_sample_are_told_by_their_shape():
    model = nn.Sequential(nn.Flatten(0, 1), nn.Linear(F, K), nn.Unflatten(0, (5, T)))
    x = torch.rand(5, T, F)
    expected = model(x).transpose(0, 1)
    assert torch.equal(forward(model, x, time_steps=T, layout="batch"), expected)
    turned = x.transpose(0, 1).contiguous()
    assert torch.equal(forward(model, turned, time_steps=T, layout="batch"), expected)


def test_a_function_may_take_anything():
    model = nn.Linear(F, K)
    batch = {"x": torch.rand(5, F), "length": 3}
    logits = forward(model, batch, time_steps=T, layout=lambda net, b: net(b["x"]))
    assert torch.equal(logits, model(batch["x"]).unsqueeze(0))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, F, dtype=torch.uint8), "floating point, got uint8; scale them"),
        ({"x": torch.zeros(2, F)}, "a tensor as input, got dict"),
    ],
)
def test_inputs_that_a_named_layout_cannot_take(x, message):
    with pytest.raises(DataError, match=message):
        forward(nn.Linear(F, K), x, time_steps=T, layout="step")


def test_a_model_gets_the_same_draws_and_its_owner_other_ones():
    model, drawn = nn.Linear(1, 1), []
    before = torch.get_rng_state()
    for _ in range(2):
        with same_draws(model):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), before)
