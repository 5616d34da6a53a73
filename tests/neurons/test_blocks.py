"""Every memory format is covered once, and kept."""

import pytest
import torch

from spikeprune.neurons import blocks
from spikeprune.neurons.blocks import Frame


def layouts():
    x = torch.arange(2.0 * 3 * 4 * 5 * 6)
    plain = x.reshape(2, 3, 4, 5, 6)
    return {
        "contiguous": plain,
        "channels last": plain.flatten(0, 1)
        .contiguous(memory_format=torch.channels_last)
        .view(plain.shape),
        "expanded over time": plain[:1].expand(2, -1, -1, -1, -1),
        "expanded over the batch": plain[:, :1].expand(-1, 3, -1, -1, -1),
        "transposed": plain.transpose(1, 4),
        "sliced": plain[..., ::2],
        "time inside": plain.movedim(0, -1).contiguous().movedim(-1, 0),
        "one channel": plain[:, :, :1],
        "no space": plain[..., 0, 0],
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("scratch", [1, 100, 2**19])
def test_blocks_cover_every_format_once(layout, scratch, monkeypatch):
    monkeypatch.setattr(blocks, "_SCRATCH", scratch)
    monkeypatch.setattr(blocks, "_GRAIN", 1)
    x = layouts()[layout]
    frame = Frame.of(x)
    copy, step = frame.empty(x, x.dtype), frame.empty_step(x, x.dtype)
    assert not copy._is_view()
    assert not step._is_view()
    for source, target in zip(frame.blocks(x), frame.blocks(copy), strict=True):
        target.copy_(source)
    assert torch.equal(copy, x)
    for source, target in zip(frame.blocks(x), frame.step_blocks(step), strict=True):
        target.copy_(source[-1])
    assert torch.equal(step, x[-1])
    preserved = torch.empty_like(x[0]).stride()
    assert copy[0].stride() == step.stride() == preserved
