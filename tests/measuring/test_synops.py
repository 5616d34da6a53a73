import copy

import pytest
import torch
from spikingjelly.activation_based import functional as sj
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn import functional

from spikeprune import zoo
from spikeprune.adapters.speedups import hoist
from spikeprune.errors import ModelError
from spikeprune.execution.forward import forward
from spikeprune.measuring.evaluate import evaluate
from spikeprune.measuring.synops import LayerCount, NeuronCount, counting
from spikeprune.wiring.trace import trace

T, B, K = 3, 4, 5
TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}


def tiny(name, **changes):
    shapes = {"classes": K, "in_channels": 2, "image_size": 32, "time_steps": T}
    torch.manual_seed(0)
    return lively(zoo.build(name, **{**shapes, **TINY[name], **changes}))


def lively(model, density=0.5):
    """Random norms, so that all layers fire, and some weights at 0."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(0, 1, generator=generator)
                module.running_mean.uniform_(-0.2, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.mul_(torch.rand(module.weight.shape, generator=generator) < density)
    return model.eval()


def images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Slow:
    """Keeps every input of every layer and convolves each slice, binarised, on its own."""

    def __init__(self, model, names):
        self.inputs = {name: [] for name in names}
        self.modules = {name: model.get_submodule(name) for name in names}
        self.handles = [
            module.register_forward_pre_hook(
                lambda m, args, name=name: self.inputs[name].append(args[0].clone())
            )
            for name, module in self.modules.items()
        ]

    def synops(self, name, transform=lambda x: (x != 0).double()):
        module, total = self.modules[name], 0.0
        weight = (module.weight != 0).double()
        for x in self.inputs[name]:
            for part in x.reshape(-1, *x.shape[-(weight.ndim - 1) :]):
                total += float(self.apply(module, transform(part)[None], weight).sum())
        return total

    @staticmethod
    def apply(module, x, weight):
        if isinstance(module, nn.Linear):
            return functional.linear(x, weight)
        pad = module._reversed_padding_repeated_twice
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        return functional.conv2d(
            functional.pad(x, pad, mode=mode), weight, stride=module.stride,
            dilation=module.dilation, groups=module.groups,
        )  # fmt: skip


def both(model, x, layout="sequence", batches=2):
    slice_ = x[:1] if x.ndim % 2 == 0 else x[0, :1]
    wiring = trace(model, slice_)
    slow = Slow(model, wiring.layers)
    with torch.no_grad(), counting(model, wiring) as counts:
        for part in x.chunk(batches, dim=x.ndim % 2):
            forward(model, part, time_steps=T, layout=layout)
    return wiring, counts, slow


VARIANTS = [(name, {}) for name in zoo.NAMES] + [
    ("vgg9", {"pool": "average", "image_size": 8}),
    ("sew-resnet18", {"connect": "AND"}),
]


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_zoo_counts_equal_slow_counts(name, arguments):
    side = arguments.get("image_size", 32)
    wiring, counts, slow = both(tiny(name, **arguments), images(2, 2, side, side))
    for layer_name, count in counts.layers.items():
        assert count.synops() == slow.synops(layer_name)
        weighted = count.value_weighted()
        found = wiring.layers[layer_name]
        if found.binary or not found.sources:
            assert weighted is None
        else:
            assert weighted == pytest.approx(slow.synops(layer_name, lambda x: x.abs().double()))
    assert sum(count.synops() for count in counts.layers.values()) > 0


def test_events_and_images_at_every_step():
    model = tiny("vgg-small", image_size=12)
    hoist(model)
    _, counts, slow = both(model, images(T, B, 2, 12, 12))
    assert counts.layers["stem.conv"].slices == T * B
    assert counts.layers["stem.conv"].synops() == slow.synops("stem.conv")
    _, once, _ = both(model, images(B, 2, 12, 12))
    assert once.layers["stem.conv"].slices == B
    every = tiny("vgg-small", image_size=12)
    _, each, _ = both(every, images(B, 2, 12, 12))
    assert each.layers["stem.conv"].synops() == T * once.layers["stem.conv"].synops()
    for name in ("body.conv2", "body.conv3", "head.classifier"):
        assert each.layers[name].synops() == once.layers[name].synops()


def test_memory_format_does_not_matter():
    model, x = tiny("vgg-small", image_size=12), images(B, 2, 12, 12)
    _, plain, _ = both(model, x)
    last = model.to(memory_format=torch.channels_last)
    _, other, _ = both(last, x.to(memory_format=torch.channels_last))
    for name, count in plain.layers.items():
        assert torch.equal(count.nonzero, other.layers[name].nonzero)
    assert plain.firing_rate() == other.firing_rate()


GEOMETRIES = {
    "same": {"kernel_size": 4, "padding": "same", "dilation": 2},
    "valid": {"kernel_size": (3, 2), "padding": "valid", "stride": (2, 1)},
    "circular": {"kernel_size": 3, "padding": (2, 1), "padding_mode": "circular"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect", "groups": 2},
    "replicate-same": {"kernel_size": 4, "padding": "same", "padding_mode": "replicate"},
    "strided": {"kernel_size": 3, "padding": (0, 2), "stride": (3, 2), "groups": 4},
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_every_kind_of_padding(geometry):
    torch.manual_seed(1)
    model = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1), neuron.IFNode(v_threshold=0.2),
        layer.Conv2d(4, 8, **geometry), neuron.IFNode(v_threshold=0.2),
        layer.AdaptiveAvgPool2d((1, 1)), layer.Flatten(), layer.Linear(8, K),
    )  # fmt: skip
    lively(model, density=0.6)
    _, counts, slow = both(model, images(B, 2, 7, 6), layout="step")
    assert counts.layers["2"].synops() == slow.synops("2") > 0
    with torch.no_grad():  # the same layer read as analog, to check the value-weighted reads
        analog = counts.layers["2"]
        analog.values = analog.nonzero.double()
        assert analog.value_weighted() == analog.synops()


def test_firing_rates_by_hand():
    model = nn.Sequential(
        layer.Linear(2, 2, bias=False), neuron.IFNode(v_threshold=1.0), layer.Linear(2, 3)
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.4]]))
    x = torch.ones(B, 2)  # the first neuron fires in each of 3 steps, the second in the last one
    wiring = trace(model, x[:1])
    with counting(model, wiring) as counts:
        forward(model, x, time_steps=T, layout="step")
    assert counts.firing_rate() == pytest.approx(4 / 6)
    assert counts.firing_rate(("1",)) == pytest.approx(4 / 6)
    assert counts.firing_rate(()) is None
    assert counts.layers["2"].nonzero.tolist() == [3 * B, B]
    assert counts.layers["0"].slices == T * B


@pytest.mark.parametrize("value", [2.0, 0.5, -1.0, float("nan"), float("inf")])
def test_an_operand_that_is_no_spike_is_refused(value):
    model, x = tiny("vgg-small", image_size=12), images(B, 2, 12, 12)
    wiring = trace(model, x[:1])

    def spoil(module, args, output):
        changed = output.clone()
        changed.flatten()[7] = value
        return changed

    model.get_submodule("body.spike1").register_forward_hook(spoil)
    expected = pytest.raises(ModelError, match=r"expected spikes .* at the input of 'body\.conv2'")
    with expected, counting(model, wiring):
        forward(model, x, time_steps=T)
    assert not any(m._forward_hooks for n, m in model.named_modules() if n != "body.spike1")


def test_no_hook_survives_an_exception():
    model, x = tiny("vgg-small", image_size=12), images(B, 2, 12, 12)
    with pytest.raises(KeyboardInterrupt), counting(model, trace(model, x[:1])):
        raise KeyboardInterrupt
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_layer_of_another_kind_is_refused():
    model, x = tiny("vgg-small", image_size=12), images(B, 2, 12, 12)
    wiring = trace(model, x[:1])
    model.body.conv3 = nn.Embedding(4, 6)
    expected = pytest.raises(ModelError, match=r"'body\.conv3', got Embedding")
    with expected, counting(model, wiring):
        pass
    assert not any(m._forward_hooks for m in model.modules())


def test_nothing_changes_while_counting():
    model, x = tiny("vgg-small", image_size=12), images(B, 2, 12, 12)
    with torch.no_grad():
        before = forward(model, x, time_steps=T)
        with counting(model, trace(model, x[:1])):
            assert torch.equal(forward(model, x, time_steps=T), before)


class Alone(nn.Module):
    """Random spikes, as an unknown neuron would emit them, and one layer that reads them."""

    def __init__(self, read, reader, call=lambda layer, x: layer(x)):
        super().__init__()
        self.first, self.reader, self.read, self.call = nn.Linear(K, K), reader, read, call

    def forward(self, x):
        return self.call(self.reader, self.read(unknown(self.first(x)))).flatten(1)


def unknown(x):
    """Fire straight through, without a spike function."""
    return (x >= 0.1).float() + x.sigmoid() - x.sigmoid().detach()


def whole(net, x):
    return net(x)


def parts(*shape):
    return lambda x: x.flatten(1)[:, : torch.Size(shape).numel()].reshape(len(x), *shape)


def twice(layer, x):
    return layer(x).flatten(1).sum(1, keepdim=True) + layer(x[..., :-1]).flatten(1).sum(1, True)


KINDS = {
    "Conv1d": (parts(2, 10), nn.Conv1d(2, 3, 3, stride=2, padding=1), None),
    "Conv3d": (parts(2, 2, 2, 5), nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 0)), None),
    "grouped": (parts(4, 2, 5), nn.Conv2d(4, 6, 2, groups=2), None),
    "transposed 1d": (parts(4, 5), nn.ConvTranspose1d(4, 2, 3, stride=2, padding=1), None),
    "transposed 2d": (
        parts(4, 2, 3), nn.ConvTranspose2d(4, 6, 2, stride=3, groups=2, output_padding=1), None
    ),
    "tokens": (parts(4, 5), nn.Linear(5, 3), None),
    "keyword": (parts(2, 10), nn.Conv1d(2, 3, 3), lambda layer, x: layer(input=x)),
    "two sizes": (parts(2, 10), nn.Conv1d(2, 3, 3), twice),
    "twice": (parts(4, 5), nn.Linear(5, 5), lambda layer, x: layer((layer(x) > 0).float())),
}  # fmt: skip


def evaluated(model, x, wiring):
    """Return the metrics of a net, and what its reader read and gave."""
    operands, outputs = [], []

    def keep(module, args, kwargs, output):
        operands.append(args[0] if args else kwargs["input"])
        outputs.append(output)

    handle = model.reader.register_forward_hook(keep, with_kwargs=True)
    batches = [(x, torch.zeros(len(x)))]
    metrics = evaluate(model, batches, wiring=wiring, time_steps=1, latency=False)
    handle.remove()
    return metrics, (operands, outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_and_of_call(kind):
    read, reader, call = KINDS[kind]
    torch.manual_seed(3)
    model = Alone(read, reader, *([] if call is None else [call])).eval()
    with torch.no_grad():
        reader.weight.mul_(torch.rand(reader.weight.shape) < 0.6)
    x = torch.randn(3, 8, K)
    wiring = trace(model, x, layout=whole, time_steps=1)
    metrics, (operands, outputs) = evaluated(model, x, wiring)
    binary = copy.deepcopy(reader).double()
    binary.weight.data, binary.bias = (binary.weight != 0).double(), None
    expected = sum(float(binary((o != 0).double()).detach().sum()) for o in operands)
    places = operands if getattr(reader, "transposed", False) else outputs
    channel = (slice(None), 0) if isinstance(reader, nn.modules.conv._ConvNd) else (..., 0)
    dense = sum(o[channel].numel() * reader.weight.numel() for o in places) // 3
    row = metrics.layers[1]
    assert row.synops == pytest.approx(expected / 3)
    assert row.operand == "spikes"
    assert metrics.dense_macs_per_sample == 8 * K * K + dense
    assert metrics.effective_acs_per_sample == row.synops


def test_an_unknown_neuron_between_known_ones_gives_spikes():
    class Middle(nn.Module):
        def forward(self, x):
            return (x >= 0.1).float() + torch.sigmoid(x) - torch.sigmoid(x).detach()

    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Linear(6, 8), neuron.IFNode(v_threshold=0.2), layer.Linear(8, 8), Middle(),
        layer.Linear(8, 8), neuron.IFNode(v_threshold=0.2), layer.Linear(8, K),
    ).eval()  # fmt: skip
    x = images(B, 6)
    rows = evaluate(model, [(x, torch.zeros(B))], time_steps=T, layout="step", latency=False).layers
    assert [row.operand for row in rows] == ["analog", "spikes", "spikes", "spikes"]
    model[3] = nn.Tanh()
    rows = evaluate(model, [(x, torch.zeros(B))], time_steps=T, layout="step", latency=False).layers
    assert [row.operand for row in rows] == ["analog", "spikes", "analog", "spikes"]


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Linear(6, 4), (6,)),
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9)),
        (nn.Conv2d(3, 5, 3, padding="same", padding_mode="circular"), (3, 6, 7)),
        (nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1, output_padding=1), (3, 5, 4)),
    ],
)
def test_operations_are_linear_in_the_operands_with_the_live_fan_out_as_gradient(module, shape):
    with torch.no_grad():
        module.weight *= torch.rand_like(module.weight) < 0.5
    live = copy.deepcopy(module)
    with torch.no_grad():
        live.weight.copy_(module.weight != 0)
        live.bias.zero_()
    operands = torch.randint(0, 5, (1, *shape)).float().requires_grad_()
    slow = live(operands).sum()  # each operand times each live weight that reads it
    (fan_out,) = torch.autograd.grad(slow, operands)
    counted = operands[0].detach().double().requires_grad_()
    size = tuple(live(operands).shape[2:])
    found = LayerCount(module, output_size=size).operations(counted)
    found.backward()
    assert found.item() == slow.item()
    assert torch.equal(counted.grad, fan_out[0].double())


@pytest.mark.parametrize("mode", ["s", "m"])
def test_silent_neurons_by_hand(mode):
    model = nn.Sequential(
        layer.Conv2d(1, 2, 1, bias=False), neuron.IFNode(v_threshold=1.0), layer.Flatten()
    )
    sj.set_step_mode(model, mode)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, 0.1]).reshape(2, 1, 1, 1))
    x = torch.zeros(B, 1, 2, 2)
    x[0, 0, 0, 0] = x[1, 0, 0, 1] = 1.0  # two of four positions, in different samples
    wiring = trace(model, x[:1], time_steps=T)
    with counting(model, wiring) as counts:
        for sample in x.split(1):  # the first channel fires at two positions, the second nowhere
            sj.reset_net(model)
            forward(model, sample, time_steps=T, layout="step" if mode == "s" else "sequence")
    assert counts.silent_share() == 6 / 8
    assert counts.silent_share(("1",)) == 6 / 8
    assert counts.silent_share(()) is None
    assert counts.silent_shares() == {"1": 6 / 8}


def test_neurons_of_other_sizes_are_others():
    count = NeuronCount(axes=2)
    count.add(torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.0]]]]))  # [T, B, C, L]
    count.add(torch.tensor([[[[1.0]]]]))
    assert count.silent == (1, 3)
    assert (float(count.spikes), count.places) == (2.0, 5)


def test_without_known_axes_silence_is_not_known():
    count = NeuronCount(axes=None)
    count.add(torch.ones(2, 3))
    assert (count.silent, float(count.spikes), count.places) == ((0, 0), 6.0, 6)
