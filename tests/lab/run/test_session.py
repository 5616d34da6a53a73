"""What a run works on: device, data, nets and what is counted of them."""

import pytest
import torch

from spikeprune import zoo
from spikeprune.errors import ConfigError, DataError
from spikeprune.lab.run.session import Session, choose_device
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import save_tensors

BASE = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "sparsity": 0.6,
    "every": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "epochs": {"prune": 1, "finetune": 1},
}


def config(**values):
    return RunConfig.from_dict(BASE | {"out": "x"} | values)


def test_an_error_of_our_own_readers_is_not_dressed_up(monkeypatch):
    def load(name, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("spikeprune.data.load", load)
    with pytest.raises(ZeroDivisionError):
        _ = Session(config()).data
    with pytest.raises(DataError, match="'mine:loaders' failed: ZeroDivisionError"):
        _ = Session(config(data="mine:loaders")).data


def test_devices_by_name():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="'tpu'; expected one of: auto, cpu, cuda"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    with pytest.raises(ConfigError, match="no CUDA device"):
        choose_device("cuda")


def test_the_start_depends_on_the_seed_alone_and_leaves_the_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = Session(config()).built().state_dict()
    assert torch.equal(torch.rand(3), expected)
    for again in (Session(config()).built(place=False), Session(config()).built(weights=True)):
        assert all(torch.equal(one[name], t) for name, t in again.state_dict().items())
    other = Session(config(seed=1)).built().state_dict()
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_weights_are_those_of_the_checkpoint_where_they_are_asked_for(tmp_path):
    file = tmp_path / "net.safetensors"
    given = Session(config(seed=1)).built().state_dict()
    save_tensors(file, given)
    session = Session(config(weights=str(file)))
    from_checkpoint = session.built(weights=True).state_dict()
    assert all(torch.equal(from_checkpoint[name], t) for name, t in given.items())
    start = session.built().state_dict()
    assert torch.equal(
        start["stem.conv.weight"], Session(config()).built().state_dict()["stem.conv.weight"]
    )


def test_a_net_that_is_not_placed_is_as_its_builder_made_it():
    session = Session(config())
    placed, plain = (session.built(place=place) for place in (True, False))
    last = [net.body.conv2.weight.is_contiguous() for net in (placed, plain)]
    assert last == [False, True]
    spikes = [type(net.body.spike2) for net in (placed, plain)]
    assert spikes[0] is not spikes[1]  # fused


def test_counts_and_inputs_are_those_of_the_net_and_data():
    session = Session(config())
    assert session.steps_per_epoch == 5
    assert session.weight_counts == {
        "stem.conv": 36,
        "body.conv2": 288,
        "head.classifier": 80,
    }
    assert session.macs_per_sample == 16 * 36 + 2 * (16 * 288 + 80)  # the first layer runs once
    again = Session(config(static_first_layer=False))
    assert again.macs_per_sample == 2 * (16 * 36 + 16 * 288 + 80)
    assert session.test_inputs.shape == (20, 1, 8, 8)
    assert session.example.shape == (1, 1, 8, 8)


NOISY = """
import torch
from spikingjelly.activation_based import functional, layer, neuron

class Noisy(torch.nn.Sequential):
    def forward(self, x):
        return super().forward((torch.rand_like(x) < x).float())

def build(**task):
    net = Noisy(layer.Conv2d(1, 2, 3), neuron.LIFNode(), layer.Flatten(), layer.Linear(72, 10))
    functional.set_step_mode(net, "m")
    return net
"""


def test_counting_leaves_the_generator_of_a_net_that_draws(tmp_path, monkeypatch):
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.syspath_prepend(tmp_path)
    session = Session(config(model="noisy:build", model_args={}))
    assert len(session.wiring.layers) == 2
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert session.macs_per_sample == 2 * (36 * 2 * 9 + 720)  # in the midst of training
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("on", [True, False])
def test_the_memory_layout_of_nets_and_batches(on):
    session = Session(config(channels_last=on, model_args={"widths": [4, 8], "strides": [2, 1]}))
    weight = session.built().get_parameter("body.conv2.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) == on
    assert weight.is_contiguous() != on


def test_event_options_reach_the_data(monkeypatch):
    seen = {}
    monkeypatch.setattr("spikeprune.data.load", lambda name, **options: seen.update(options))
    _ = Session(config(binning="count", image_size=16, augment=["flip"])).data
    assert (seen["binning"], seen["image_size"], seen["limit"]) == ("count", 16, 100)
    assert (seen["time_steps"], seen["batch_size"], seen["augment"]) == (2, 20, ("flip",))


@pytest.mark.parametrize(("model", "side"), [("vgg-small", 8), ("vgg9", 8), ("vgg16", 32)])
def test_digits_are_resized_for_nets_that_pool_too_often(model, side):
    session = Session(RunConfig(data="digits", model=model, limit=64, batch_size=8))
    assert session.data.info.shape == (1, side, side)


@pytest.mark.parametrize("name", sorted(zoo.NAMES))
def test_every_net_takes_its_smallest_image(name):
    side = max(2, zoo.smallest_image(name))
    width = {"widths": (2, 2), "strides": (2, 1)} if name == "vgg-small" else {"width": 0.05}
    options = {"classes": 2, "in_channels": 1, "time_steps": 1, **width}
    net = zoo.build(name, image_size=side, **options).eval()
    assert net(torch.zeros(1, 1, side, side)).shape == (1, 1, 2)
    if zoo.smallest_image(name) > 1:
        with pytest.raises(ConfigError, match="image_size of at least"):
            zoo.build(name, image_size=side - 1, **options)


def test_sessions_of_the_same_data_read_them_once():
    first = Session(RunConfig.from_dict(BASE))
    other = first.beside(RunConfig.from_dict(BASE | {"method": "magnitude", "sparsity": 0.9}))
    assert other.data is first.data
    assert other.config.sparsity == 0.9
    for change in ({"seed": 1}, {"limit": 50}, {"batch_size": 10}, {"validation": 0.2}):
        changed = first.beside(RunConfig.from_dict(BASE | change))
        assert changed.data is not first.data
        assert len(changed.data.train) == len(Session(changed.config).data.train)


LOADER = """
from torch.utils.data import DataLoader, TensorDataset
import torch


def loaders(batch_size):
    batches = DataLoader(TensorDataset(torch.rand(8, 1, 8, 8), torch.arange(8) % 2), batch_size)
    return batches, None, batches, (1, 8, 8), 2
"""


def test_options_without_effect_are_among_the_notices(monkeypatch, tmp_path):
    (tmp_path / "two.py").write_text(LOADER)
    monkeypatch.chdir(tmp_path)
    assert Session(config(limit=100)).without_effect == ()
    one = Session(config(data="two:loaders", limit=5, batch_size=4, threads=1))
    said = ("limit 5 has no effect: two:loaders has no parameter of that name",)
    assert one.without_effect == said
    assert one.notices()[-1] == said[0]
    images = Session(config(binning="count")).without_effect
    assert images == ("binning count has no effect: the data are images, not recordings of events",)
