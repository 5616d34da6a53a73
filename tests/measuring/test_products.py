"""Products outside of layers, counted term by term."""

import itertools

import pytest
import torch
from tests.foreign.plain import Triangle
from torch import nn
from torch.nn import functional

from spikeprune.measuring.evaluate import evaluate
from spikeprune.measuring.products import counting_products
from spikeprune.wiring.trace import trace

B, N, F = 3, 4, 6


def spikes(x):
    return Triangle.apply(x - 0.3)


def terms(left, right):
    """Count the terms of `left [b, n, k] @ right [b, k, m]` with two factors, one by one."""
    count = 0
    for a, b in zip(left, right, strict=True):
        for n, k, m in itertools.product(*map(range, (a.shape[0], a.shape[1], b.shape[1]))):
            count += bool(a[n, k] != 0 and b[k, m] != 0)
    return count


class Block(nn.Module):
    """Tokens, neurons, and a product that keeps its factors."""

    def __init__(self, product, *, fires=True):
        super().__init__()
        self.first, self.last = nn.Linear(F, F), nn.Linear(F, 2)
        self.product, self.fires, self.factors = product, fires, []
        self.weight = nn.Parameter(torch.randn(5, F) * (torch.rand(5, F) < 0.5))

    def forward(self, x):
        tokens = self.first(x)
        tokens = spikes(tokens) if self.fires else tokens
        return self.last(self.product(self, tokens).reshape(len(x), -1)[:, :F])


def paired(tokens):
    return tokens, tokens.roll(1, 0)


def kept(net, left, right):
    net.factors.append((left.detach(), right.detach()))


def by(multiply):
    """Return a product of tokens with others, whose result does not matter."""

    def product(net, tokens):
        left, right = paired(tokens)
        kept(net, left, right.transpose(1, 2))
        return tokens + 0 * multiply(left, right).sum()

    return product


MATMULS = {
    "@": by(lambda a, b: a @ b.transpose(1, 2)),
    "torch.matmul": by(lambda a, b: torch.matmul(a, b.mT)),
    "torch.bmm": by(lambda a, b: torch.bmm(a, b.mT)),
    "torch.baddbmm": by(lambda a, b: torch.baddbmm(torch.ones(B, N, N), a, b.mT)),
    "torch.addbmm": by(lambda a, b: torch.addbmm(torch.ones(N, N), a, b.mT)),
    "einsum": by(lambda a, b: torch.einsum("bnk,bmk->bnm", a, b)),
    "heads": by(lambda a, b: a.unsqueeze(1) @ b.unsqueeze(1).mT),
    "one by one": by(lambda a, b: torch.stack([p @ q.T for p, q in zip(a, b, strict=True)])),
}


def as_it_is(net, x):
    return net(x)


def counted(model):
    torch.manual_seed(1)
    x, y = torch.rand(B, N, F), torch.zeros(B, dtype=torch.long)
    wiring = trace(model, x, layout=as_it_is, time_steps=1)
    metrics = evaluate(model, [(x, y)], wiring=wiring, time_steps=1, latency=False)
    return metrics, wiring


def block(product, **options):
    torch.manual_seed(0)
    return Block(product, **options).eval()


@pytest.mark.parametrize("product", MATMULS.values(), ids=MATMULS)
@pytest.mark.parametrize("fires", [True, False])
def test_every_way_to_multiply_activations(product, fires):
    model = block(product, fires=fires)
    metrics, wiring = counted(model)
    expected = sum(terms(left, right) for left, right in model.factors[-1:])
    (row,) = metrics.products
    assert row.synops == pytest.approx(expected / B)
    assert row.dense_macs == N * F * N
    assert (row.name, row.operand) == ("matmul", "spikes" if fires else "analog")
    layers = sum(layer.synops for layer in metrics.layers)
    assert metrics.synops_per_sample == pytest.approx(layers + row.synops)
    assert metrics.dense_macs_per_sample == N * F * F + F * 2 + N * F * N
    assert (metrics.effective_acs_per_sample >= row.synops) is fires
    assert wiring.products == ("matmul",)
    assert not any("not counted" in note for note in (*metrics.notes, *wiring.notes))


def weighted(multiply):
    def product(net, tokens):
        net.factors.append((tokens.detach().flatten(0, 1)[None], net.weight.detach().T[None]))
        return tokens + 0 * multiply(net, tokens).sum()

    return product


@pytest.mark.parametrize("fires", [True, False])
@pytest.mark.parametrize(
    "multiply",
    [
        lambda net, x: functional.linear(x, net.weight),
        lambda net, x: functional.linear(x, net.weight, torch.ones(5)),
        lambda net, x: x @ net.weight.T,
    ],
)
def test_linear_by_a_parameter_of_its_own(multiply, fires):
    model = block(weighted(multiply), fires=fires)
    (row,) = counted(model)[0].products
    assert row.synops == pytest.approx(terms(*model.factors[-1]) / B)
    assert row.dense_macs == N * F * 5
    assert row.operand == ("spikes" if fires else "analog")


def test_a_binary_weight_does_not_make_an_analog_operand_spikes():
    model = block(weighted(lambda net, x: x @ net.weight.T), fires=False)
    model.weight.data = (model.weight.data != 0).float()
    assert counted(model)[0].products[0].operand == "analog"


CONVOLUTIONS = {
    "plain": (functional.conv1d, (5, 4, 3), {}),
    "stride, padding, bias": (
        functional.conv1d, (5, 4, 3), {"stride": 2, "padding": 1, "bias": torch.ones(5)}
    ),
    "groups, dilation": (functional.conv1d, (4, 2, 2), {"groups": 2, "dilation": 3}),
    "transposed": (functional.conv_transpose1d, (4, 5, 3), {"stride": 2, "padding": 1}),
    "transposed groups": (functional.conv_transpose1d, (4, 2, 3), {"groups": 2, "stride": 3}),
    "2d": (functional.conv2d, (5, 4, 2, 2), {"padding": (1, 0)}),
    "3d": (functional.conv3d, (5, 4, 1, 2, 1), {"stride": (1, 1, 2)}),
    "transposed 2d": (functional.conv_transpose2d, (4, 3, 2, 1), {"stride": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_by_a_parameter_of_its_own(name):
    convolve, shape, options = CONVOLUTIONS[name]
    sizes = [(6,), (2, 3), (1, 2, 3)][len(shape) - 3]

    def product(net, tokens):
        x = tokens.reshape(B, N, *sizes)
        net.factors.append(x.detach())
        return tokens + 0 * convolve(x, net.kernel, **options).sum()

    model = block(product)
    model.kernel = nn.Parameter(torch.randn(shape) * (torch.rand(shape) < 0.6))
    (row,) = counted(model)[0].products
    plain = {key: value for key, value in options.items() if key != "bias"}
    x, weight = (model.factors[-1] != 0).double(), (model.kernel != 0).double()
    assert row.synops == pytest.approx(float(convolve(x, weight, **plain).sum()) / B)
    places = x[0, 0].numel() if "transposed" in name else convolve(x, weight, **plain)[0, 0].numel()
    assert row.dense_macs == weight.numel() * places
    assert (row.operation, row.operand) == ("convolution", "spikes")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_fused_attention_counts_as_its_two_products(causal, heads):
    def product(net, tokens):
        q = tokens.reshape(B, N, heads, F // heads).transpose(1, 2)
        weights = torch.ones(N, N).tril() if causal else torch.ones(N, N)
        kept(net, q.flatten(0, 1), q.mT.flatten(0, 1))
        kept(net, weights.expand(B * heads, N, N), q.flatten(0, 1))
        out = functional.scaled_dot_product_attention(q, q, q, is_causal=causal)
        return tokens + 0 * out.sum()

    model = block(product)
    rows = counted(model)[0].products
    assert [r.synops for r in rows] == pytest.approx([terms(*f) / B for f in model.factors[-2:]])
    assert [r.operand for r in rows] == ["spikes", "spikes"]
    assert [r.name for r in rows] == ["matmul", "matmul#2"]


class Multihead(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(F, F), nn.Linear(F, 2)
        self.attention = nn.MultiheadAttention(F, 2, batch_first=True)
        self.factors = []

    def forward(self, x):
        x = spikes(self.first(x))
        return self.last(self.attention(x, x, x)[0].mean(1))


def test_multihead_attention_with_its_projections():
    torch.manual_seed(0)
    metrics, wiring = counted(Multihead().eval())
    rows = metrics.products
    assert {row.name.split("#")[0] for row in rows} == {"attention:matmul"}
    assert sum(row.dense_macs for row in rows) == 4 * N * F * F + 2 * N * N * F
    assert any("not pruned: attention.out_proj" in note for note in wiring.notes)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("multiply", "operator"),
    [
        (lambda net, x: net.bilinear(x, x), "_trilinear in bilinear"),
        (lambda net, x: torch.fft.rfft(x).abs(), "_fft_r2c in the net"),
        (lambda net, x: torch.cdist(x, x), "_cdist_forward in the net"),
        (lambda net, x: net.lstm(x)[0], "mkldnn_rnn_layer in lstm"),
    ],
)
def test_what_cannot_be_counted_is_named(multiply, operator):
    model = block(lambda net, x: x + 0 * multiply(net, x).sum())
    model.bilinear, model.lstm = nn.Bilinear(F, F, 2), nn.LSTM(F, 3, batch_first=True)
    metrics, _ = counted(model)
    assert any(note.startswith("not counted") and operator in note for note in metrics.notes)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3)])
def test_recurrent_layers_count_as_products(kind, gates):
    model = block(lambda net, x: x + 0 * net.recurrent(x)[0].sum())
    model.recurrent = kind(F, 3, batch_first=True)
    metrics, _ = counted(model)
    assert sum(row.dense_macs for row in metrics.products) == N * gates * 3 * (F + 3)
    assert metrics.products[0].operand == "spikes"
    assert not any("not counted" in note for note in metrics.notes)


def test_scaled_spikes_are_spikes_and_two_values_are_not():
    scaled = block(lambda net, x: x + 0 * ((x * 0.5) @ (x + torch.rand(F)).mT).sum())
    assert counted(scaled)[0].products[0].operand == "spikes"
    joined = block(lambda net, x: x + 0 * ((x + x.roll(1, 1)) @ (x + x.roll(2, 1)).mT).sum())
    assert counted(joined)[0].products[0].operand == "analog"


def test_a_net_without_products_is_not_watched():
    model = block(lambda net, x: x)
    wiring = trace(model, torch.rand(B, N, F), layout=as_it_is, time_steps=1)
    assert wiring.products == ()
    with counting_products(model, wiring) as counts, torch.no_grad():
        model.product = MATMULS["@"]
        model(torch.rand(B, N, F))
    assert counts.rows(1) == ()
