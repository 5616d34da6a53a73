import sys

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.compare.jobs.grid import jobs, spread
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.pruning import method_rows


def keys(config):
    return [(job.setting, job.method, job.sparsity, job.seed) for job in jobs(config)]


def test_the_product_in_the_order_of_the_table(grid):
    here = "digits, vgg-small"
    assert keys(grid(methods=["dense", "magnitude"], sparsities=[0.8, 0.9], seeds=[3, 1])) == [
        (here, "dense", None, 3),
        (here, "dense", None, 1),
        (here, "magnitude", 0.8, 3),
        (here, "magnitude", 0.8, 1),
        (here, "magnitude", 0.9, 3),
        (here, "magnitude", 0.9, 1),
    ]


def test_a_job_is_its_run(grid):
    job = jobs(grid(methods=["magnitude"], seeds=[4]))[0]
    config = job.config
    assert (config.method, config.sparsity, config.seed) == ("magnitude", 0.8, 4)
    assert (config.time_steps, config.model_args["widths"]) == (2, [4, 8])
    assert job.folder.path.parts[-2:] == ("cells", "digits-vgg-small_magnitude_0.8_seed4")
    assert not job.finished
    assert "magnitude at sparsity 0.8, seed 4" in str(job)


def test_variants_override_by_dotted_name_and_leave_the_rest(grid):
    options = {
        "method": "criticality",
        "criticality.space": "mean",
        "epochs.prune": 7,
        "limits.body.conv2": [0.5, 1.0],
        "model_args.strides": [1, 1],
    }
    config = jobs(grid(methods=[], variants={"mine": options}, seeds=[0]))[0].config
    assert (config.criticality.space, config.criticality.time) == ("mean", "mean")
    assert (config.epochs.prune, config.epochs.finetune) == (7, 1)
    assert config.limits == {"body.conv2": (0.5, 1.0)}
    assert config.model_args == {"widths": [4, 8], "strides": [1, 1]}


@pytest.mark.parametrize("names", [["model", "model_args.width"], ["model_args.width", "model"]])
def test_another_net_has_its_own_arguments_in_any_order(grid, names):
    values = {"model": "sew-resnet18", "model_args.width": 0.5}
    options = {"method": "magnitude"} | {name: values[name] for name in names}
    (job,) = jobs(grid(methods=[], variants={"mine": options}, seeds=[0]))
    assert job.config.model_args == {"width": 0.5}
    (job,) = jobs(grid(methods=["magnitude"], models=["sew-resnet18"], seeds=[0]))
    assert job.config.model_args == {}


def test_nets_and_data_are_crossed(grid):
    found = grid(methods=["dense"], models=["vgg-small", "vgg9"], data_sets=["digits", "mnist"])
    settings = dict.fromkeys(job.setting for job in jobs(found))
    assert list(settings) == [f"{d}, {m}" for d in ("digits", "mnist") for m in found.models]
    runs = {(job.config.data, job.config.model) for job in jobs(found)}
    assert runs == {(d, m) for d in ("digits", "mnist") for m in found.models}


def test_settings_are_options_of_all_methods(grid):
    settings = {"short": {"time_steps": 1}, "long": {"time_steps": 8, "model_args": {}}}
    found = jobs(grid(settings=settings, methods=["magnitude"], seeds=[0]))
    assert [(job.setting, job.config.time_steps) for job in found] == [("short", 1), ("long", 8)]
    assert found[1].config.model_args == {}


def test_a_variant_may_prune_what_its_granularity_says(grid):
    options = {"method": "slimming", "granularity": "channel", "channels.budget": "macs"}
    job = jobs(grid(methods=[], variants={"slim": options}))[0]
    assert (job.config.granularity, job.config.channels.budget) == ("channel", "macs")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": ["nope"]}, r"nope \(digits, vgg-small\): unknown method"),
        ({"methods": ["slimming"]}, "slimming .*not defined for weight"),
        ({"sparsities": []}, "magnitude .* needs a sparsity"),
        ({"variants": {"v": {"regrow": "random"}}}, "variant v names no method"),
        ({"variants": {"v": {"method": "dense", "seed": 1}}}, "v .*: seed belongs to the grid"),
        ({"variants": {"v": {"method": "dense", "epoch.prune": 1}}}, "v .*: unknown field 'epoch'"),
        ({"variants": {"v": {"method": "dense", "every": "x"}}}, "v .*: every: expected"),
        ({"settings": {"s": {"method": "dense"}}}, "setting s: method belongs to the grid"),
        ({"settings": {"s": {"sparsity": 0.5}}}, "sparsity belongs to the grid"),
        (
            {"variants": {"a b": {"method": "dense"}, "a-b": {"method": "dense"}}},
            "share the folder",
        ),
    ],
)
def test_a_cell_that_cannot_be_made_is_named(grid, fields, words):
    with pytest.raises(ConfigError, match=words):
        jobs(grid(**fields))


def test_neighbours_in_the_order_of_starting_need_different_dense_nets(grid):
    made = jobs(grid(seeds=[0, 1, 2]))
    order = spread(made)
    assert sorted(job.name for job in order) == sorted(job.name for job in made)
    for first in range(0, len(order), 3):
        assert len({dense_key(job.config) for job in order[first : first + 3]}) == 3


def test_methods_of_ones_own_are_known_once_their_module_is_named(grid, tmp_path, monkeypatch):
    (tmp_path / "grid_of_mine.py").write_text(
        "from spikeprune.extend import method\n"
        "method(name='mine', granularities=('weight',), saliency='magnitude', summary='once')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(method_rows, "METHODS", list(method_rows.METHODS))
    with pytest.raises(ConfigError, match="mine"):
        jobs(grid(methods=["mine"]))
    extended = {"extensions": ["grid_of_mine"]}
    config = grid(methods=["mine"], base=extended, seeds=[0])
    (unknown,) = jobs(config)  # not imported: taken for a method of theirs
    assert "grid_of_mine" not in sys.modules
    assert jobs(config, trust_code=True) == [unknown]
    assert [m.name for m in method_rows.METHODS][-1] == "mine"
    assert unknown.sparsity is not None
