"""Products that are seen while a net runs, and those of its layers that are not."""

import torch
from torch import nn

from spikeprune.execution.products import watching_products


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) @ self.layer.weight


def test_the_product_of_a_layer_is_its_own():
    net, found, opaque = Net(), [], []
    x = torch.rand(2, 4)
    with watching_products(net, ["layer"], found.append, opaque.append), torch.no_grad():
        net(x)
        x @ x.T  # outside of the net
    (product,) = found
    assert (product.name, product.parameters) == ("matmul", (False, True))
    assert torch.equal(product.left, net.layer(x)[None])
    assert opaque == []
    assert torch.backends.mha.get_fastpath_enabled()
