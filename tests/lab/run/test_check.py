import pytest
import torch

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.run.check import check, check_events, check_folder
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig


@pytest.fixture
def config(tmp_path):
    def make(**values):
        base = {"data": "digits", "model": "vgg-small", "sparsity": 0.9, "out": str(tmp_path / "x")}
        return RunConfig.from_dict(base | values)

    return make


def test_a_sound_run_passes_and_nothing_is_written(config, tmp_path):
    check(config())
    check(config(granularity="channel"))
    check(config(method="dense", sparsity=None, epochs={"prune": 0, "finetune": 1}))
    check(config(model="my.nets:build", data="my.data:loaders"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sparsity": None}, ["sparsity is missing", "--sparsity 0.9"]),
        ({"sparsity": 0.0}, ["sparsity", "(0, 1)"]),
        ({"budget": "energy", "input_operands": "analog"}, ["by value", "a budget of synops"]),
        ({"budget": "synops", "within": {"synops": 0.1}}, ["second budget of synops", "weights"]),
        ({"budget": "synops", "within": {"weights": 1.5}}, ["within.weights", "(0, 1)"]),
        ({"sparsity": 1.0}, ["sparsity", "(0, 1)"]),
        ({"sparsity": float("nan")}, ["sparsity", "(0, 1)"]),
        ({"epochs": {"prune": 0}}, ["epochs.prune", "at least 1", "got 0"]),
        ({"epochs": {"finetune": -1}}, ["epochs.finetune", "from 0 to"]),
        ({"epochs": {"dense": 0}}, ["epochs.dense", "at least 1"]),
        ({"epochs": {"finetune": 10**9}}, ["epochs.finetune", "100,000"]),
        ({"time_steps": 0}, ["time_steps", "from 1 to 10,000"]),
        ({"time_steps": 10**9}, ["time_steps", "from 1 to 10,000"]),
        ({"batch_size": 0}, ["batch_size"]),
        ({"limit": 0}, ["limit"]),
        ({"image_size": 0}, ["image_size"]),
        ({"image_size": 10**6}, ["image_size", "from 1 to 4,096"]),
        ({"threads": 0}, ["threads"]),
        ({"threads": 10**6}, ["threads", "from 1 to 1,024"]),
        ({"optimizer": {"lr": 1e300}}, ["optimizer.lr", "1e+06"]),
        ({"method": "m" * 10**5}, ["method", "4096 characters", "mmm..."]),
        ({"seed": 2**64}, ["seed", "64 bits"]),
        ({"optimizer": {"lr": 10**400}}, ["optimizer.lr", "64 bits"]),
        ({"optimizer": {"momentum": 1.0}}, ["optimizer.momentum", "[0, 1)"]),
        ({"optimizer": {"lr": float("inf")}}, ["optimizer.lr", "in (0, 1e+06]"]),
        ({"out": "two\nlines"}, ["out", "one line"]),
        ({"model_args": {"widths": {1, 2}}}, ["model_args.widths", "lists"]),
        ({"every": 0}, ["every"]),
        ({"seed": -1}, ["seed"]),
        ({"validation": 0.0}, ["validation", "(0, 1)"]),
        ({"validation": 1.0}, ["validation", "(0, 1)"]),
        ({"optimizer": {"lr": 0.0}}, ["optimizer.lr", "in (0, 1e+06]"]),
        ({"optimizer": {"lr": float("nan")}}, ["optimizer.lr", "in (0, 1e+06]"]),
        ({"optimizer": {"clip_norm": 0.0}}, ["optimizer.clip_norm", "in (0, 1e+06]"]),
        ({"optimizer": {"momentum": -0.1}}, ["optimizer.momentum"]),
        ({"optimizer": {"weight_decay": float("nan")}}, ["optimizer.weight_decay"]),
        ({"optimizer": {"name": "adam"}}, ["optimizer.name 'adam'", "adamw, sgd"]),
        ({"neuron": "izhikevich"}, ["neuron", "if, lif, plif"]),
        ({"reset": "none"}, ["reset", "hard, soft"]),
        ({"preset": "paper"}, ["preset", "paper-channel, paper-weight"]),
        ({"augment": ["crop", "mixup"]}, ["augment 'mixup'", "crop, cutout, flip"]),
        ({"granularity": "layer"}, ["granularity", "channel, weight"]),
        ({"allocation": "local"}, ["allocation", "erk, global, uniform"]),
        ({"schedule": "cosine"}, ["schedule", "cubic, early-bird, geometric, linear, one-shot"]),
        ({"start": "middle"}, ["start", "checkpoint, init"]),
        ({"loss": "mse"}, ["loss", "mean-logits, per-step"]),
        ({"device": "tpu"}, ["device", "auto, cpu, cuda"]),
        ({"model": "vgg17"}, ["model 'vgg17'", "vgg16", "module:callable"]),
        ({"data": "digitz"}, ["digitz", "fashion-mnist"]),
        ({"method": "magic"}, ["magic", "criticality"]),
        ({"method": "slimming"}, ["not defined for weight", "magnitude"]),
        ({"regrow_fraction": 1.0}, ["regrow_fraction", "[0, 1)"]),
        ({"regrow_fraction": -0.1}, ["regrow_fraction", "[0, 1)"]),
        ({"granularity": "channel", "regrow": "gradient"}, ["gradient"]),
        ({"limits": {"conv*": [0.5, 0.2]}}, ["limits.conv*", "0.5", "0.2"]),
        ({"limits": {"conv*": [0.5, 1.2]}}, ["limits.conv*", "1.2"]),
        ({"rate_penalty": -0.1}, ["rate_penalty", "from 0 to"]),
        ({"synops_penalty": -0.1}, ["synops_penalty", "from 0 to"]),
        ({"teacher": {"weight": 1.5}}, ["teacher.weight", "from 0 to 1, got 1.5"]),
        ({"teacher": {"temperature": 0.0}}, ["teacher.temperature", "in (0, 100], got 0"]),
        ({"rate_penalty": float("inf")}, ["rate_penalty", "from 0 to 1,000,000, got inf"]),
        ({"saliency": "hessian"}, ["saliency 'hessian'", "magnitude"]),
        ({"saliency": "snip"}, ["snip is measured once", "at-start"]),
        ({"method": "snip", "regrow": "random"}, ["prunes once", "regrow='random'"]),
        ({"method": "rigl", "regrow": "none"}, ["constant density without regrowth"]),
        ({"method": "imp", "imp": {"rounds": 0}}, ["imp.rounds", "from 1 to 1,000"]),
        ({"imp": {"share": 1.0}}, ["imp.share", "in (0, 1), got 1"]),
        ({"method": "imp", "imp": {"budget": "double"}}, ["imp.budget", "equal, own"]),
        ({"initial_density": 0.05}, ["initial_density 0.05", "final density 0.1"]),
        ({"granularity": "channel", "budget": "synops"}, ["budget='synops'", "channels.budget"]),
        ({"compile": "on", "fuse": False}, ["compile is on, but fuse is false"]),
        ({"start": "checkpoint"}, ["--weights"]),
        ({"weights": "nowhere.safetensors"}, ["nowhere.safetensors"]),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(config, values, words):
    with pytest.raises(ConfigError) as error:
        check(config(**values))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_checkpoint_must_be_used(config, tmp_path):
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"")
    check(config(weights=str(weights)))
    with pytest.raises(ConfigError, match="start is init"):
        check(config(weights=str(weights), start="init"))


def test_cuda_must_be_there(config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device"):
        check(config(device="cuda"))
    check(config(device="auto"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check(config(device="cuda", precision="fp32"))


def test_a_schedule_needs_an_event(config):
    made = config(every=100, epochs={"prune": 2})
    check(made, steps_per_epoch=50)
    with pytest.raises(ConfigError, match=r"no pruning event.*98 steps.*--every 9 or less"):
        check(made, steps_per_epoch=49)
    with pytest.raises(ConfigError, match="no pruning event"):
        check_events(made, 0)
    check_events(config(every=100, schedule="one-shot", epochs={"prune": 1}), 3)
    check_events(config(every=100, granularity="channel", epochs={"prune": 1}), 3)
    check_events(config(every=100, method="dense", epochs={"prune": 1}), 3)


def test_a_run_folder_belongs_to_one_run(config):
    made = config()
    folder = RunFolder(made.folder)
    assert check_folder(made) is False
    folder.path.mkdir()
    assert check_folder(made) is False  # an empty folder is free
    made.save(folder.config)
    assert check_folder(made) is True
    check(made)
    before = folder.config.read_bytes()
    other = config(seed=1, epochs={"prune": 3})
    with pytest.raises(RunError) as error:
        check(other)
    for word in ("seed: 0 there, 1 now", "epochs.prune: 10 there, 3 now", "--out"):
        assert word in str(error.value)
    check(other, folder=False)
    assert folder.config.read_bytes() == before


def test_a_folder_with_other_files_is_left_alone(config):
    made = config()
    made.folder.mkdir()
    (made.folder / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not a spikeprune run"):
        check(made)


def test_a_file_is_no_run_folder(config):
    made = config()
    made.folder.write_text("x")
    with pytest.raises(RunError, match="is a file"):
        check(made)


def test_a_run_of_another_version_is_left_alone(config):
    made = config()
    made.folder.mkdir()
    RunFolder(made.folder).config.write_text("data: digits\nmodel: vgg-small\nfuture: 1\n")
    with pytest.raises(RunError, match=r"cannot read.*future.*--out"):
        check(made)
