from dataclasses import replace

import pytest

from spikeprune.lab.report.figures.training import accuracy_figure, event_positions, loss_figure
from spikeprune.lab.report.run_record import RunRecord


def test_curves_of_both_nets_with_density_and_events(plain):
    spec = accuracy_figure(plain).spec
    assert [trace["name"] for trace in spec["data"]] == ["dense", "pruned", "density"]
    assert spec["data"][1]["x"] == list(range(1, 11))
    assert spec["data"][2]["yaxis"] == "y2"
    assert spec["data"][2]["x"] == sorted(spec["data"][2]["x"])
    assert len(spec["layout"]["shapes"]) == 8 + 1


def test_density_falls_at_events_and_stays_to_the_end_of_the_epoch():
    epochs = tuple(
        {"stage": "prune", "epoch": n, "validation_accuracy": 0.5, "density": density}
        for n, density in ((1, 0.8), (2, 0.8))
    )
    events = ({"epoch": 0.5, "density": 0.9}, {"epoch": 1.0, "density": 0.8})
    record = RunRecord({"granularity": "weight"}, epochs, events)
    steps = accuracy_figure(record).spec["data"][-1]
    assert steps["x"] == [0.5, 1.0, 1.0, 2.0]
    assert steps["y"] == [90, 80, 80, 80]
    assert steps["customdata"] == [" (event 1)", " (event 2)", "", ""]
    assert steps["marker"]["size"] == [9, 9, 0, 0]


def test_the_loss_is_drawn_as_it_is_and_accuracy_in_per_cent():
    epochs = tuple(
        {"stage": "dense", "loss": loss, "validation_accuracy": accuracy}
        for loss, accuracy in ((2.0, 0.25), (None, None), (1.5, 0.75))
    )
    record = RunRecord({"granularity": "weight"}, epochs)
    (loss,) = loss_figure(record).spec["data"]
    assert (loss["name"], loss["y"]) == ("dense", [2.0, None, 1.5])
    assert accuracy_figure(record).spec["data"][0]["y"] == [25, None, 75]
    summary = "Dense: 2 in the first epoch, 1.5 in the last."
    assert loss_figure(record).summary == summary


def test_fine_tuning_begins_at_a_line(plain):
    layout = loss_figure(plain).spec["layout"]
    assert layout["shapes"][-1]["x0"] == 6
    assert layout["annotations"][0]["x"] == 6
    epochs = tuple(row for row in plain.epochs if row["stage"] != "finetune")
    assert "annotations" not in loss_figure(replace(plain, epochs=epochs)).spec["layout"]


def test_a_missing_history_is_named(plain):
    epochs = tuple(row for row in plain.epochs if row["stage"] != "dense")
    accuracy = accuracy_figure(replace(plain, epochs=epochs))
    assert "No history of the dense net" in accuracy.caption
    assert "no epoch" in loss_figure(replace(plain, epochs=())).reason


@pytest.mark.parametrize(
    ("epochs", "positions"),
    [
        ((1, 1, 2.5), [0.5, 1.0, 2.5]),
        ((2, 2, 2, 2), [1.25, 1.5, 1.75, 2.0]),
        ((0,), [1.0]),
        ((), []),
    ],
)
def test_events_of_one_epoch_are_spread_over_it(plain, epochs, positions):
    events = tuple({"epoch": epoch} for epoch in epochs)
    assert event_positions(replace(plain, events=events)) == positions
