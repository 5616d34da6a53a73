import pytest

from spikeprune.cli import main
from spikeprune.commands import reproduce as command
from spikeprune.errors import ConfigError
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.reproduce import ALL, EXPERIMENTS, SCALES, Request
from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE
from spikeprune.lab.reproduce.registry import chosen, curved
from spikeprune.lab.reproduce.reproduce import jobs
from spikeprune.lab.run import check as checking
from spikeprune.lab.run.dense_net import dense_key

NAMES = (
    "fig2",
    "fig3a",
    "fig3b",
    "fig4",
    "fig5",
    "fig6",
    "table-unstructured",
    "table-structured",
    "cost",
    "entropy",
)


def asked(scale, names=(ALL,), **more) -> list[Job]:
    return jobs(chosen(names), Request(names=names, scale=scale, **more))


def test_every_figure_and_table_is_there_and_the_command_line_knows_them():
    assert tuple(EXPERIMENTS) == NAMES == command._NAMES
    assert tuple(SCALES) == command._SCALES
    assert all(one.shows and one.title for one in EXPERIMENTS.values())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_every_scale_can_be_run(scale, name, tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "locate", lambda *_: None)  # data that are not here
    runs = asked(scale, (name,), out=str(tmp_path))
    assert {job.seed for job in runs} == set(SCALES[scale].seeds)
    for job in runs:
        checking.check(job.config)


@pytest.mark.parametrize("scale", SCALES)
def test_all_together_share_runs_and_dense_nets(scale):
    together, apart = asked(scale), sum(len(asked(scale, (name,))) for name in NAMES)
    assert len({job.name for job in together}) == len(together) < apart
    seeds = len(SCALES[scale].seeds)
    settings = {job.setting for job in together}
    assert len({dense_key(job.config) for job in together}) == len(settings) * seeds


@pytest.mark.parametrize("scale", SCALES)
def test_only_the_runs_of_figures_4_and_5_record_test_accuracy_by_epoch(scale):
    keys = {run.key for name in ("fig4", "fig5") for run in EXPERIMENTS[name].runs(SCALES[scale])}
    assert curved(SCALES[scale]) == keys
    assert len(keys) == 4
    for names in ((ALL,), ("fig2",)):  # whoever asks for a run, it is the same run
        for job in asked(scale, names):
            assert job.config.curves == ((job.setting, job.method, job.sparsity) in keys)


def test_the_paper_scale_is_the_papers():
    runs = {(job.setting, job.method, job.sparsity): job.config for job in asked("paper")}
    method = runs["CIFAR-100, ResNet19", "criticality", 0.9569]
    assert (method.time_steps, method.epochs.prune, method.epochs.finetune) == (5, 200, 300)
    assert (method.data, method.model) == ("cifar100", "resnet19-pre")
    assert method.preset == "paper-weight"
    rounds = runs["CIFAR-100, ResNet19", "imp, own budget", 0.9569]
    assert (rounds.epochs.total, rounds.dense_epochs, rounds.imp.share) == (300, 500, 0.25)


def test_names_are_refused_with_the_valid_ones():
    assert [one.name for one in chosen(("fig6", "fig2", "fig6"))] == ["fig2", "fig6"]
    assert len(chosen((ALL,))) == len(NAMES)
    with pytest.raises(ConfigError, match=r"fig7.*table-structured"):
        chosen(("fig7",))
    with pytest.raises(ConfigError, match="nothing to reproduce"):
        chosen(())
    for seeds in ((), (1, 1)):
        with pytest.raises(ConfigError, match="seeds"):
            asked("smoke", seeds=seeds)


def test_wrong_usage_is_one_message(capsys, tmp_path):
    assert main(["reproduce", "fig9", "--out", str(tmp_path / "new")]) == 2
    assert "fig9" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine.txt").write_text("not yours")
    assert main(["reproduce", "entropy", "--out", str(tmp_path)]) == 1
    assert "holds files" in capsys.readouterr().err


def test_unknown_numbers_of_the_paper_are_called_not_available():
    for name, experiment in EXPERIMENTS.items():
        shows = " ".join(experiment.shows)
        assert NOT_AVAILABLE in shows or name == "cost", name
