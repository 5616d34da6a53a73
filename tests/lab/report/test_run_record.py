import json
from dataclasses import replace

import pytest

from spikeprune.errors import RunError
from spikeprune.lab.report.run_record import RunRecord, read_record


def test_units_layers_and_stages_of_a_record():
    rows = [{"name": "b", "synops": 2}, {"name": "a", "synops": 1}]
    record = RunRecord(
        {"granularity": "channel", "dense": {"layers": rows}, "pruned": None},
        epochs=({"stage": "prune", "epoch": 1}, {"stage": "dense"}, {"stage": "finetune"}),
    )
    assert record.unit == "channels"
    assert RunRecord({"granularity": "weight"}).unit == "weights"
    assert list(record.layers("dense").items()) == [("b", rows[0]), ("a", rows[1])]
    assert record.pruned == record.layers("pruned") == {}
    assert record.stage("prune", "finetune") == (record.epochs[0], record.epochs[2])


def test_only_the_metrics_are_required(fake_run, tmp_path):
    folder = fake_run(history=False).write(tmp_path)
    (folder / "config.yaml").unlink()
    record = read_record(folder)
    assert (record.epochs, record.config) == ((), "")
    assert record.dense["test_accuracy"] == 0.8897


def test_the_dense_history_may_lie_in_its_own_folder(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    dense = [line for line in lines if '"dense"' in line]
    (folder / "dense").mkdir()
    (folder / "dense" / "history.jsonl").write_text("".join(dense))
    (folder / "history.jsonl").write_text("".join(lines[len(dense) :]))
    assert len(read_record(folder).stage("dense")) == 10


def test_events_come_from_the_history_when_the_metrics_have_none(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "regrowth": None}))
    assert len(read_record(folder).events) == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"does not exist; finish the run first"),
        ("{", "damaged or of another kind"),
        ("[]", "no schema number"),
        ("{}", "no schema number"),
        ('{"schema": 2}', r"schema 2.*reads up to 1.*pip install --upgrade"),
        ('{"schema": 1, "method": "x"}', "lacks granularity, data, model, dense, pruned"),
    ],
)
def test_what_is_no_finished_run_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(RunError, match=message):
        read_record(tmp_path)


def test_a_broken_history_is_refused_and_a_torn_end_is_not(fake_run, tmp_path):
    folder = fake_run().write(tmp_path)
    history = folder / "history.jsonl"
    whole = history.read_text()
    history.write_text(whole + '{"kind": "ep')
    assert len(read_record(folder).epochs) == 20
    history.write_text("oops\n" + whole)
    with pytest.raises(RunError, match="line 1 of"):
        read_record(folder)


def test_the_warnings_of_both_nets_are_named(plain):
    assert plain.warnings == ()
    nets = {
        side: {**getattr(plain, side), "warnings": [f"{side} sign"]} for side in ("dense", "pruned")
    }
    both = replace(plain, metrics={**plain.metrics, **nets})
    assert both.warnings == ("the pruned net: pruned sign", "the dense net: dense sign")
    alone = replace(plain, metrics={**plain.metrics, **nets, "method": "dense"})
    assert alone.warnings == ("the dense net: dense sign",)
