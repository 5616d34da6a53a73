"""Every shipped recipe can run, and those of the paper hold its settings."""

import pytest
import torch

from spikeprune import zoo
from spikeprune.errors import ConfigError
from spikeprune.lab.run.check import check, check_events
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.recipes import read_recipe, recipe_names, recipe_summary

SHAPES = {"digits": (10, 1, 8), "fashion-mnist": (10, 1, 28), "cifar10": (10, 3, 32)}
SHAPES |= {"cifar100": (100, 3, 32), "nmnist": (10, 2, 34)}
TRAINING = {"digits": 1293, "fashion-mnist": 54000, "cifar10": 45000, "cifar100": 45000}
TRAINING |= {"nmnist": 900}


def test_the_promised_recipes_ship():
    assert set(recipe_names()) >= {
        "demo",
        "smoke",
        "cifar10-weights",
        "cifar10-channels",
        "nmnist",
        "paper-vgg16-weights",
        "paper-vgg16-channels",
        "paper-resnet19-weights",
        "paper-resnet19-channels",
    }


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = RunConfig.from_dict(read_recipe(name))
    check(config)
    check_events(config, TRAINING[config.data] // config.batch_size)
    assert config.out is None
    assert len(recipe_summary(name)) > 20
    classes, channels, size = SHAPES[config.data]
    with torch.device("meta"):
        zoo.build(
            config.model,
            classes=classes,
            in_channels=channels,
            image_size=config.image_size or size,
            time_steps=config.time_steps,
            neuron=config.neuron,
            reset=config.reset,
            preset=config.preset,
            **config.model_args,
        )


@pytest.mark.parametrize("net", ["vgg16", "resnet19"])
def test_paper_recipes_hold_the_script_s_settings(net):
    """Method, sections 3 and 4."""
    weights = RunConfig.from_dict(read_recipe(f"paper-{net}-weights"))
    channels = RunConfig.from_dict(read_recipe(f"paper-{net}-channels"))
    for config in (weights, channels):
        assert (config.time_steps, config.batch_size) == (5, 128)
        assert (config.optimizer.name, config.optimizer.lr) == ("sgd", 0.3)
        assert config.optimizer.momentum == 0.9
    assert (weights.every, weights.epochs.prune, weights.epochs.finetune) == (2000, 200, 300)
    assert (weights.optimizer.schedule, weights.optimizer.weight_decay) == ("cosine", 1e-4)
    assert (weights.preset, weights.loss) == ("paper-weight", "mean-logits")
    assert (channels.epochs.prune, channels.epochs.finetune) == (160, 160)
    assert (channels.optimizer.schedule, channels.optimizer.weight_decay) == ("step", 0.0)
    assert (channels.preset, channels.loss) == ("paper-channel", "per-step")
    assert channels.channels.l1 == 1e-4
    assert channels.criticality.score_on == "train-set"


def test_a_recipe_of_one_s_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: digits\noptimizer: {lr: 1e-3}\n")
    assert read_recipe(str(path)) == {"data": "digits", "optimizer": {"lr": 1e-3}}


def test_unknown_recipes_list_the_shipped_ones(tmp_path):
    for name in ("demmo", str(tmp_path / "nowhere.yaml")):
        with pytest.raises(ConfigError, match=r"cifar10-weights, demo, nmnist"):
            read_recipe(name)


def test_the_demo_runs_on_digits_too():
    demo = RunConfig.from_dict(read_recipe("demo") | {"data": "digits"})
    check(demo, steps_per_epoch=Session(demo).steps_per_epoch, folder=False)
