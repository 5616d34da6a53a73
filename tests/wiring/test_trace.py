"""The wiring that a trace finds, and the nets that it refuses."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.utils import parametrize, prune

from spikeprune.errors import ModelError
from spikeprune.wiring.trace import trace

IMAGE = torch.zeros(1, 3, 8, 8)


def conv(a, b, **options):
    return layer.Conv2d(a, b, 3, padding=1, **options)


class Net(nn.Module):
    """A net whose forward is given as a function of itself and the input."""

    def __init__(self, forward, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self._run = forward

    def forward(self, x):
        return self._run(self, x)


def plain():
    return nn.Sequential(
        conv(3, 4),
        layer.BatchNorm2d(4),
        neuron.IFNode(),
        layer.MaxPool2d(2),
        conv(4, 6, stride=2),
        neuron.LIFNode(),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(6, 5),
        neuron.LIFNode(),
        layer.Linear(5, 2),
    )


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_plain_net(mode):
    model = plain()
    functional.set_step_mode(model, mode)
    wiring = trace(model, IMAGE)
    assert list(wiring.layers) == ["0", "4", "8", "10"]
    assert wiring.neurons == {"2": 4, "5": 6, "9": 5}
    first, second, hidden, classifier = wiring.layers.values()
    assert (first.kind, first.feeds, first.sources, first.norms) == ("conv", ("2",), (), ("1",))
    assert (second.feeds, second.sources, second.norms) == (("5",), ("2",), ())
    assert (hidden.kind, hidden.feeds, hidden.sources) == ("linear", ("9",), ("5",))
    assert (classifier.feeds, classifier.sources) == ((), ("9",))
    assert [found.binary for found in wiring.layers.values()] == [False, True, False, True]
    assert (second.input_shape, second.output_shape) == ((4, 4, 4), (6, 2, 2))
    assert (hidden.input_shape, hidden.output_shape) == ((6,), (5,))
    assert first.macs == 4 * 8 * 8 * 3 * 9
    assert second.macs == 6 * 2 * 2 * 4 * 9
    assert (hidden.macs, classifier.macs) == (30, 10)


def test_the_model_is_left_as_it_was():
    model = plain().train()
    model[0].weight.requires_grad_(False)
    functional.set_step_mode(model, "m")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        trace(model, IMAGE)
    assert all(m.training and not m._forward_hooks for m in model.modules())
    assert not any("forward" in vars(m) for m in model.modules())
    assert not model[0].weight.requires_grad
    assert model[4].weight.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model(torch.rand(2, 1, 3, 8, 8)).shape == (2, 1, 2)


def test_frozen_and_depthwise_layers_count_as_others():
    model = nn.Sequential(conv(4, 4, groups=4), neuron.IFNode(), layer.Conv2d(4, 2, 1))
    model.requires_grad_(False)
    wiring = trace(model, torch.zeros(1, 4, 6, 6))
    assert wiring.layers["0"].feeds == ("1",)
    assert wiring.layers["0"].macs == 4 * 36 * 9
    assert wiring.layers["2"].binary


def sew(join):
    """Spikes of a block are joined with the spikes that go into it."""

    def forward(net, x):
        x = net.sn0(net.conv0(x))
        out = net.sn2(net.bn2(net.conv2(net.sn1(net.conv1(x)))))
        return net.conv3(join(x, out))

    return Net(
        forward,
        conv0=conv(3, 4),
        sn0=neuron.IFNode(),
        conv1=conv(4, 5),
        sn1=neuron.IFNode(),
        conv2=conv(5, 4),
        bn2=layer.BatchNorm2d(4),
        sn2=neuron.IFNode(),
        conv3=conv(4, 2),
    )


def add_in_place(x, y):
    y += x
    return y


JOINS = {
    "ADD": (lambda x, y: x + y, False),
    "ADD in place": (add_in_place, False),
    "AND": (lambda x, y: x * y, True),
    "IAND": (lambda x, y: x * (1.0 - y), True),
    "OR": (lambda x, y: x + y - x * y, True),
    "maximum": (torch.maximum, True),
    "difference": (lambda x, y: x - y, False),
    "scaled": (lambda x, y: 0.5 * (x * y), False),
}


@pytest.mark.parametrize("join", JOINS)
def test_spike_joins(join):
    function, binary = JOINS[join]
    wiring = trace(sew(function), IMAGE)
    assert wiring.layers["conv3"].sources == ("sn0", "sn2")
    assert wiring.layers["conv3"].binary is binary
    assert wiring.layers["conv2"].feeds == ("sn2",)
    assert wiring.layers["conv2"].norms == ("bn2",)
    assert wiring.layers["conv1"].sources == ("sn0",)


POOLS = {
    "max": (lambda: layer.MaxPool2d(2), True),
    "global max": (lambda: nn.AdaptiveMaxPool2d(1), True),
    "average": (lambda: layer.AvgPool2d(2), False),
    "global average": (lambda: nn.AdaptiveAvgPool2d(1), False),
    "average of single positions": (lambda: layer.AvgPool2d(1), True),
    "norm": (lambda: layer.BatchNorm2d(1), False),
    "dropout": (lambda: layer.Dropout(0.5), True),
    "delay": (lambda: layer.Delay(1), True),
    "synapse": (lambda: layer.SynapseFilter(2.0), False),
    "upsampling": (lambda: nn.Upsample(scale_factor=2), True),
}


@pytest.mark.parametrize("pool", POOLS)
def test_what_lies_between_decides_whether_an_operand_is_binary(pool):
    make, binary = POOLS[pool]
    # One channel: the fewest values in which an average could look binary by chance.
    model = nn.Sequential(conv(3, 1), neuron.IFNode(), make(), layer.Conv2d(1, 2, 1))
    wiring = trace(model, IMAGE)
    assert wiring.layers["3"].binary is binary
    assert wiring.layers["3"].sources == ("1",)


def test_an_analog_stream_of_zeros_is_not_binary():
    """Zero-initialised last norms make residual branches vanish; the graph still says analog."""
    norm = layer.BatchNorm2d(4)
    nn.init.zeros_(norm.weight)
    model = Net(
        lambda net, x: net.last(net.spike(net.first(x)) + net.norm(net.branch(x))),
        first=conv(3, 4),
        spike=neuron.IFNode(),
        branch=conv(3, 4),
        norm=norm,
        last=conv(4, 2),
    )
    assert not trace(model, IMAGE).layers["last"].binary


def test_a_post_activation_join_feeds_one_neuron_by_several_layers():
    def forward(net, x):
        x = net.sn0(net.conv0(x))
        out = net.bn1(net.conv1(x))
        out += net.bn2(net.short(x))
        return net.last(net.sn1(out))

    model = Net(
        forward,
        conv0=conv(3, 4),
        sn0=neuron.IFNode(),
        conv1=conv(4, 6),
        bn1=layer.BatchNorm2d(6),
        short=layer.Conv2d(4, 6, 1),
        bn2=layer.BatchNorm2d(6),
        sn1=neuron.IFNode(),
        last=conv(6, 2),
    )
    layers = trace(model, IMAGE).layers
    assert layers["conv1"].feeds == layers["short"].feeds == ("sn1",)
    assert (layers["conv1"].norms, layers["short"].norms) == (("bn1",), ("bn2",))
    assert layers["conv0"].feeds == ("sn0",)


def test_a_pre_activation_stream_feeds_every_neuron_that_reads_it():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn1, self.sn1, self.conv1 = layer.BatchNorm2d(4), neuron.IFNode(), conv(4, 5)
            self.bn2, self.sn2, self.conv2 = layer.BatchNorm2d(5), neuron.IFNode(), conv(5, 4)

        def forward(self, x):
            return x + self.conv2(self.sn2(self.bn2(self.conv1(self.sn1(self.bn1(x))))))

    model = nn.Sequential(conv(3, 4), Block(), Block(), layer.BatchNorm2d(4), neuron.IFNode())
    wiring = trace(model, IMAGE)
    assert wiring.layers["0"].feeds == ("1.sn1", "2.sn1", "4")
    assert wiring.layers["1.conv2"].feeds == ("2.sn1", "4")
    assert wiring.layers["1.conv2"].norms == ("2.bn1", "3")
    assert wiring.layers["1.conv1"].norms == ("1.bn2",)


def joined(n, x):
    return n.last(n.spike(torch.cat([n.a(x), n.b(x)], 1)))


NOT_FOLLOWED = {
    "concatenation": lambda: Net(
        joined, a=conv(3, 4), b=conv(3, 4), spike=neuron.IFNode(), last=conv(8, 2)
    ),
    "shuffled channels": lambda: Net(
        lambda n, x: n.last(n.spike(n.a(x).roll(1, 1))),
        a=conv(3, 4),
        spike=neuron.IFNode(),
        last=conv(4, 2),
    ),
    "minus the mean": lambda: Net(
        lambda n, x: n.last(n.spike(n.a(x) - n.a(x).mean(1, keepdim=True))),
        a=conv(3, 4),
        spike=neuron.IFNode(),
        last=conv(4, 2),
    ),
    "local response norm": lambda: Net(
        lambda n, x: n.last(n.spike(nn.functional.local_response_norm(n.a(x), 3, k=0.1))),
        a=conv(3, 4),
        spike=neuron.IFNode(),
        last=conv(4, 2),
    ),
    "padded shortcut": lambda: Net(  # the parameter-free one: channels padded with zeros
        lambda n, x: n.last(
            n.spike(nn.functional.pad(n.a(x), (0, 0, 0, 0, 0, 4)) + n.b(x).roll(1, 1))
        ),
        a=conv(3, 4),
        b=conv(3, 8),
        spike=neuron.IFNode(),
        last=conv(8, 2),
    ),
}


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_a_layer_whose_channels_cannot_be_followed_is_pruned_by_saliency(name):
    wiring = trace(NOT_FOLLOWED[name](), IMAGE)
    assert wiring.layers["a"].feeds == ()
    assert wiring.layers["a"].prunable
    assert "pruned by saliency alone, without regrowth by neuron: a" in wiring.notes[0]
    assert "mixed, joined or reordered" in wiring.notes[0]
    assert wiring.layers["last"].binary  # it reads spikes all the same


def test_a_layer_that_reads_shuffled_spikes_takes_no_rates_from_them():
    model = Net(
        lambda n, x: n.last(n.spike(n.a(x)).permute(0, 2, 3, 1).flatten(1)),
        a=conv(3, 4),
        spike=neuron.IFNode(),
        last=layer.Linear(256, 2),
    )
    wiring = trace(model, IMAGE)
    assert wiring.layers["a"].feeds == ("spike",)
    assert (wiring.layers["last"].sources, wiring.layers["last"].follows) == (("spike",), False)
    rates = wiring.source_rates("last", {"spike": torch.full((4,), 0.25)})
    assert torch.equal(rates, torch.ones(256))


def test_layers_of_tokens_count_their_places():
    model = nn.Sequential(conv(3, 4), neuron.IFNode(), nn.Flatten(2), nn.Linear(64, 2))
    found = trace(model, IMAGE).layers["3"]
    assert (found.input_shape, found.output_shape) == ((64,), (2,))
    assert found.macs == 4 * 64 * 2


def flattened(n, x):
    return n.head(n.lif(n.conv(x).flatten(-2)).mean(-1))


def test_positions_may_be_flattened_ahead_of_a_neuron():
    parts = {"conv": conv(3, 4, stride=4), "lif": neuron.LIFNode(), "head": nn.Linear(4, 2)}
    model = Net(flattened, **parts)  # as many positions as channels: 4
    functional.set_step_mode(model, "m")
    wiring = trace(model, IMAGE, time_steps=2)
    assert wiring.layers["conv"].feeds == ("lif",)
    assert wiring.neurons == {"lif": 4}


def on_tokens(n, x):
    return n.head(n.lif(n.token(n.first(n.conv(x)).flatten(-2).transpose(-2, -1))).mean(-2))


def test_tokens_as_many_as_features_are_not_taken_for_channels():
    model = Net(
        on_tokens,
        conv=conv(3, 4, stride=4),
        first=neuron.LIFNode(),
        token=nn.Linear(4, 4),
        lif=neuron.LIFNode(),
        head=nn.Linear(4, 2),
    )
    functional.set_step_mode(model, "m")
    wiring = trace(model, IMAGE, time_steps=2)
    assert wiring.layers["token"].feeds == ()
    assert "token; they run on tokens" in wiring.notes[0]
    assert wiring.neurons == {"first": 4}


def test_a_layer_that_is_never_called_is_left_out_and_named():
    model = Net(lambda n, x: n.spike(n.a(x)), a=conv(3, 4), spike=neuron.IFNode(), spare=conv(4, 4))
    wiring = trace(model, IMAGE)
    assert list(wiring.layers) == ["a"]
    assert any("not pruned and not counted: spare" in note for note in wiring.notes)


def test_a_layer_that_is_called_twice_feeds_all_that_it_reaches():
    model = Net(
        lambda n, x: n.second(n.b(n.first(n.b(n.a(x))))),
        a=conv(3, 4),
        b=conv(4, 4),
        first=neuron.IFNode(),
        second=neuron.LIFNode(),
    )
    found = trace(model, IMAGE).layers["b"]
    assert found.feeds == ("first", "second")
    assert found.sources == ("first",)


def weight_normed():
    module = conv(4, 2)
    parametrize.register_parametrization(module, "weight", nn.Tanh())
    return module


def masked():
    return prune.random_unstructured(conv(4, 2), "weight", 0.5)


def frozen_standardised():
    return layer.WSConv2d(4, 2, 3).requires_grad_(False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layer.WSConv2d(4, 2, 3),
        frozen_standardised,
        lambda: nn.Sequential(nn.Flatten(), layer.WSLinear(256, 2)),
        weight_normed,
        masked,
    ],
    ids=["WSConv2d", "frozen WSConv2d", "WSLinear", "parametrised", "torch mask"],
)
def test_a_weight_that_is_computed_on_the_fly_is_not_pruned(make):
    wiring = trace(nn.Sequential(conv(3, 4), neuron.IFNode(), make()), IMAGE)
    assert wiring.prunable == ("0",)
    assert any(note.startswith("not pruned: 2") for note in wiring.notes)


def test_plain_layers_of_every_kind_pass():
    model = nn.Sequential(
        conv(3, 4, padding_mode="reflect", bias=False),
        neuron.IFNode(),
        layer.Flatten(),
        layer.Linear(256, 8, bias=False),
        neuron.IFNode(),
        nn.Unflatten(1, (8, 1)),
        layer.Conv1d(8, 2, 1),
    )
    assert trace(model, IMAGE).prunable == ("0", "3", "6")


def test_tied_weights_are_not_pruned():
    model = nn.Sequential(conv(4, 4), neuron.IFNode(), conv(4, 4), neuron.IFNode(), conv(4, 2))
    model[2].weight = model[0].weight
    wiring = trace(model, torch.zeros(1, 4, 8, 8))
    assert wiring.prunable == ("4",)
    assert any("two layers share" in note for note in wiring.notes)


def test_transposed_convolutions_read_spikes_and_are_pruned_by_saliency():
    model = nn.Sequential(
        conv(3, 4), neuron.IFNode(), layer.ConvTranspose2d(4, 2, 2), neuron.IFNode()
    )
    found = trace(model, IMAGE).layers["2"]
    assert (found.kind, found.prunable) == ("transposed", True)
    assert (found.feeds, found.sources, found.binary) == ((), ("1",), True)
    assert found.macs == 4 * 64 * 2 * 4  # every input meets every kernel position


def test_a_detached_layer_is_pruned_by_saliency():
    def forward(net, x):
        with torch.no_grad():
            x = net.a(x)
        return net.b(net.spike(x))

    wiring = trace(Net(forward, a=conv(3, 4), spike=neuron.IFNode(), b=conv(4, 2)), IMAGE)
    assert wiring.layers["a"].feeds == ()
    assert wiring.layers["b"].binary


def test_a_model_that_needs_a_time_axis_is_called_with_one():
    model = Net(
        lambda n, x: n.spike(n.a(x.flatten(0, 1))), a=conv(3, 4), spike=neuron.IFNode()
    ).train()
    wiring = trace(model, IMAGE, time_steps=1)
    assert wiring.layout in ("sequence", "batch")  # with joined axes both are right
    assert wiring.layers["a"].feeds == ("spike",)
    assert not any(m._forward_hooks or "forward" in vars(m) for m in model.modules())
    assert model.training


def test_a_model_that_does_not_run_is_refused_with_the_reason():
    with pytest.raises(ModelError, match=r"Sequential does not run on the example .*channels"):
        trace(nn.Sequential(conv(3, 4), neuron.IFNode()), torch.zeros(1, 5, 8, 8))


@pytest.mark.parametrize("steps", [1, 4])
def test_a_time_loop_inside_of_the_model_is_one_slice_repeated(steps):
    modules = {"a": conv(3, 4), "spike": neuron.IFNode(), "b": conv(4, 2)}
    looping = Net(lambda n, x: sum(n.b(n.spike(n.a(x))) for _ in range(steps)), **modules)
    once = Net(lambda n, x: n.b(n.spike(n.a(x))), **modules)
    assert trace(looping, IMAGE, time_steps=steps).layers == trace(once, IMAGE).layers


def test_feedback_from_step_to_step_feeds_and_reads():
    def forward(n, x):
        spikes = total = 0
        for _ in range(3):
            spikes = n.spike(n.a(x) + (n.back(spikes) if torch.is_tensor(spikes) else 0))
            total = total + n.out(spikes)
        return total

    model = Net(forward, a=conv(3, 4), back=conv(4, 4), spike=neuron.IFNode(), out=conv(4, 2))
    found = trace(model, IMAGE, time_steps=3).layers["back"]
    assert (found.feeds, found.sources, found.binary) == (("spike",), ("spike",), True)


def test_a_time_loop_over_a_part_of_the_model_is_followed():
    model = Net(
        lambda n, x: n.b(sum(n.spike(n.a(x)) for _ in range(4))),
        **{"a": conv(3, 4), "spike": neuron.IFNode(), "b": conv(4, 2)},
    )
    found = trace(model, IMAGE, time_steps=4)
    assert found.layers["a"].feeds == ("spike",)
    assert (found.layers["b"].sources, found.layers["b"].binary) == (("spike",), False)


def test_a_neuron_that_runs_another_number_of_steps_is_not_scored():
    model = Net(
        lambda n, x: n.b(sum(n.spike(n.a(x)) for _ in range(4))),
        **{"a": conv(3, 4), "spike": neuron.IFNode(), "b": conv(4, 2)},
    )
    wiring = trace(model, IMAGE, time_steps=6, layout="batch")
    assert wiring.neurons == {}
    assert wiring.layers["a"].feeds == ()


def test_norms_inside_of_a_neuron_belong_to_the_neuron():
    model = nn.Sequential(conv(3, 4), neuron.MPBNLIFNode(out_channels=4), conv(4, 2))
    assert trace(model, IMAGE).layers["0"].norms == ()


def test_norms_per_time_step_are_norms_between():
    model = nn.Sequential(conv(3, 4), layer.BatchNormThroughTime2d(4, 4), neuron.IFNode())
    functional.set_step_mode(model, "m")
    assert trace(model, IMAGE, time_steps=4).layers["0"].feeds == ("2",)


def test_recurrent_containers_are_followed():
    recurrent = layer.ElementWiseRecurrentContainer(neuron.IFNode(), torch.add)
    model = nn.Sequential(conv(3, 4), recurrent, conv(4, 2))
    found = trace(model, IMAGE, time_steps=3)
    assert found.layers["0"].feeds == ("1.sub_module",)
    assert found.layers["2"].binary


class Joined(nn.Module):
    """A multi-step neuron in a block that gets time and samples as one axis."""

    def __init__(self):
        super().__init__()
        self.a, self.spike = nn.Conv2d(3, 4, 3, padding=1), neuron.IFNode(step_mode="m")
        self.head = layer.Linear(256, 2, step_mode="m")

    def forward(self, x):
        y = self.spike(self.a(x.flatten(0, -4)))
        return self.head(y.flatten(1).unflatten(0, x.shape[:-3]))


def test_a_neuron_that_takes_samples_for_time_steps_is_not_scored():
    wiring = trace(Joined(), IMAGE, time_steps=4)
    assert wiring.neurons == {}
    assert wiring.layers["a"].feeds == ()
    assert wiring.layers["head"].binary


class Readout(neuron.SimpleLIFNode):
    """Answers its potential and never fires."""

    def single_step_forward(self, x):
        self.neuronal_charge(x)
        return self.v


def test_a_readout_that_never_fires_is_no_neuron():
    model = nn.Sequential(conv(3, 4), neuron.IFNode(), conv(4, 2), Readout(2.0, True))
    wiring = trace(model, IMAGE, time_steps=3)
    assert wiring.neurons == {"1": 4}
    assert wiring.layers["2"].feeds == ()
