import pytest
import torch

from spikeprune.science import saliency


@pytest.mark.parametrize("score", [saliency.magnitude, saliency.batchnorm_scale])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_magnitudes_are_detached_absolute_values(score, dtype):
    parameter = torch.nn.Parameter(torch.tensor([[-2.0, 0.0], [-0.0, 3.0]], dtype=dtype))
    result = score(parameter)
    assert result.tolist() == [[2.0, 0.0], [0.0, 3.0]]
    assert result.dtype == dtype
    assert not result.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_random_follows_the_generator_only(dtype):
    like = torch.zeros(3, 4, dtype=dtype)
    torch.manual_seed(0)
    first = saliency.random(like, torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    again = saliency.random(like, torch.Generator().manual_seed(5))
    other = saliency.random(like, torch.Generator().manual_seed(6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == like.shape
    assert first.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bool(((first >= 0) & (first < 1)).all())
