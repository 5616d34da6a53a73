from dataclasses import replace

import pytest

from spikeprune.lab.report.figures.regrowth import regrowth_figure, survival_figure


def event(**layers):
    rows = {name: {"regrown": count} for name, count in layers.items()}
    return {"regrown": sum(layers.values()), "layers": rows}


def test_each_event_is_shared_among_the_layers(plain):
    events = (event(a=3, b=1), event(a=0, b=0), event(b=2, c=6))
    figure = regrowth_figure(replace(plain, events=events))
    heat = figure.spec["data"][0]
    assert heat["z"] == [[75, None, 0], [25, None, 25], [0, None, 75]]
    assert [[n for _, n in row] for row in heat["customdata"]] == [[3, 0, 0], [1, 0, 2], [0, 0, 6]]
    assert figure.summary.replace("\u00a0", " ") == (
        "Over all events 25 % of regrowth went to the first 1 of 3 layers; most to c (50 %)."
    )


def test_the_shares_of_a_run_add_up(plain):
    heat = regrowth_figure(plain).spec["data"][0]
    assert len(heat["z"]) == 6
    for column in zip(*heat["z"], strict=True):
        assert sum(column) == pytest.approx(100, abs=0.05)


def test_survival_and_the_two_kinds_of_return(plain):
    line, dropped, dead = survival_figure(plain).spec["data"]
    assert line["y"][0] is None
    assert [a + b for a, b in zip(dropped["y"], dead["y"], strict=True)] == [
        event["regrown"] for event in plain.events
    ]


def test_the_summary_adds_up_the_events(plain):
    events = tuple(
        {"regrown": n, "dropped_and_returned": n // 4, "dead_and_returned": n - n // 4}
        for n in (40, 60)
    )
    metrics = {**plain.metrics, "regrowth": {"survival_mean": 0.25}}
    summary = survival_figure(replace(plain, events=events, metrics=metrics)).summary
    assert summary.replace("\u00a0", " ") == (
        "Of 100 regrown weights, 25 had been dropped in the same event and 75 were dead before it. "
        "Mean survival: 25.0 %."
    )


def test_one_event_has_no_survival(record_of):
    one = survival_figure(record_of(events=1))
    assert [trace["type"] for trace in one.spec["data"]] == ["bar", "bar"]
    assert "two events" in one.spec["layout"]["annotations"][0]["text"]
    assert "Mean survival: undefined." in one.summary


def test_no_regrowth_has_a_reason(record_of, plain):
    none = record_of(regrow=False)
    assert "any of its 8 events" in regrowth_figure(none).reason
    assert "at its event" in survival_figure(replace(none, events=none.events[:1])).reason
    assert "no pruning event" in survival_figure(replace(plain, events=())).reason


def test_events_without_layers_still_tell_survival(plain):
    record = replace(plain, events=tuple({**event, "layers": {}} for event in plain.events))
    assert "per layer" in regrowth_figure(record).reason
    assert survival_figure(record).spec


@pytest.mark.parametrize(("count", "key"), [(10, "tickvals"), (11, "tickformat")])
def test_few_events_are_numbered_one_by_one(plain, count, key):
    axis = regrowth_figure(replace(plain, events=(event(a=1),) * count)).spec["layout"]["xaxis"]
    assert key in axis
    assert axis["range"] == [0.4, count + 0.6]
