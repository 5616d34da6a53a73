import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import surrogate as sj

from spikeprune.errors import ConfigError
from spikeprune.science.surrogate import CURVES, VALUES, check_peaked, model_curve, named_curve

DTYPES = [torch.float32, torch.float64]
INTEGRAL = {"atan": 1.0, "sigmoid": 1.0, "tanh": 2 / 3, "triangle": 1.0}  # of the derivative


def grid(dtype, reach=5.0):
    return torch.linspace(-reach, reach, 1001, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_derivative_is_the_slope_of_the_primitive_scaled_to_one_at_threshold(name, dtype):
    x = grid(dtype).requires_grad_()
    (slope,) = torch.autograd.grad(named_curve(name, "primitive")(x).sum(), x)
    expected = named_curve(name)(x.detach())
    torch.testing.assert_close(slope * INTEGRAL[name], expected, rtol=1e-4, atol=1e-6)
    assert expected.dtype == dtype


@pytest.mark.parametrize("name", CURVES)
def test_derivative_closed_forms(name):
    x = grid(torch.float64)
    s = [1 / (1 + math.exp(-4 * v)) for v in x.tolist()]
    expected = {
        "atan": [1 / (1 + (math.pi * v) ** 2) for v in x.tolist()],
        "sigmoid": [4 * v * (1 - v) for v in s],
        "tanh": [1 - math.tanh(3 * v) ** 2 for v in x.tolist()],
        "triangle": [max(0.0, 1 - abs(v)) for v in x.tolist()],
    }[name]
    torch.testing.assert_close(named_curve(name)(x), torch.tensor(expected, dtype=x.dtype))


@pytest.mark.parametrize("name", CURVES)
def test_primitive_rises_from_zero_to_one_through_a_half(name):
    values = named_curve(name, "primitive")(grid(torch.float64, reach=1e6))
    assert values.min() >= 0
    assert values.max() <= 1
    assert bool((values.diff() >= 0).all())
    ends = named_curve(name, "primitive")(torch.tensor([-1e9, 0.0, 1e9], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("name", CURVES)
def test_named_derivatives_are_peaked_and_one_at_threshold(name):
    curve = named_curve(name)
    check_peaked(curve)
    assert curve(torch.zeros(1)).item() == 1.0


@settings(deadline=None)
@given(
    x=st.floats(width=32, allow_nan=False, allow_infinity=False), name=st.sampled_from([*CURVES])
)
def test_curves_stay_in_the_unit_interval_for_any_real_number(x, name):
    for value in VALUES:
        y = named_curve(name, value)(torch.tensor([x])).item()
        assert 0.0 <= y <= 1.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("surrogate", "name"), [(sj.ATan(alpha=2.0), "atan"), (sj.Sigmoid(alpha=4.0), "sigmoid")]
)
def test_spikingjelly_surrogates_equal_the_named_families(surrogate, name, dtype):
    x = grid(dtype)
    torch.testing.assert_close(model_curve(surrogate)(x), named_curve(name)(x))
    primitive = model_curve(lambda u: surrogate.primitive_function(u, surrogate.alpha), "primitive")
    torch.testing.assert_close(primitive(x), named_curve(name, "primitive")(x))


@pytest.mark.parametrize("surrogate", [sj.PiecewiseExp(), sj.Erf(), sj.SoftSign(), sj.SuperSpike()])
def test_model_curve_is_scaled_to_one_at_threshold_and_peaked(surrogate):
    curve = model_curve(surrogate)
    assert curve(torch.zeros(3)).tolist() == [1.0] * 3
    check_peaked(curve)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_model_curve_works_without_gradients_and_leaves_its_input_alone(context):
    curve = model_curve(sj.ATan(alpha=2.0))
    with context():
        x = grid(torch.float32)
        before = x.clone()
        y = curve(x)
    assert not y.requires_grad
    assert not x.requires_grad
    assert torch.equal(x, before)
    torch.testing.assert_close(y, named_curve("atan")(before))


def test_model_primitive_is_detached():
    weight = torch.ones(1, requires_grad=True)
    curve = model_curve(lambda u: torch.sigmoid(weight * u), "primitive")
    assert not curve(torch.zeros(2)).requires_grad


def test_primitive_outside_the_unit_interval_is_refused():
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1\]"):
        model_curve(lambda u: u, "primitive")


def test_surrogate_without_gradient_is_refused():
    curve = model_curve(lambda u: (u >= 0).float())
    with pytest.raises(ConfigError, match="autograd found none"):
        curve(torch.zeros(2))


@pytest.mark.parametrize(
    ("curve", "fault"),
    [
        (model_curve(lambda u: u), "does not fall on both sides"),
        (model_curve(lambda u: u.square()), "is not finite"),
        (lambda x: x.abs() + 1, "is larger at x = "),
        (lambda x: (1 + x.abs()).where(x != 0, torch.inf), "is not finite"),
        (model_curve(sj.LeakyKReLU()), "does not fall on both sides"),
        (lambda x: torch.cos(x), "is negative at x = "),
        (lambda x: torch.zeros_like(x), "does not fall on both sides"),
        (named_curve("atan", "primitive"), "is larger at x = 100"),
        (lambda x: named_curve("triangle")(x - 0.5), "is larger"),
    ],
)
def test_curves_that_are_not_peaked_are_refused(curve, fault):
    with pytest.raises(ConfigError, match=fault):
        check_peaked(curve)


def test_a_flat_top_is_peaked():
    check_peaked(lambda x: (x.abs() < 0.5).float())


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ConfigError, match="atan, sigmoid, tanh, triangle"):
        named_curve("arctan")
    for make in (lambda: named_curve("atan", "slope"), lambda: model_curve(torch.tanh, "slope")):
        with pytest.raises(ConfigError, match="derivative, primitive"):
            make()
