import pytest

from spikeprune.lab.analysis.file_measures import class_rows, regrowth, synops_rows
from spikeprune.lab.report.run_record import RunRecord, read_record


def event(*rows, survival=None):
    names = ("a", "b", "c", "head")
    keys = ("total", "regrown", "survived")
    layers = {n: dict(zip(keys, row, strict=True)) for n, row in zip(names, rows, strict=True)}
    return {"regrown": sum(row[1] for row in rows), "survival": survival, "layers": layers}


def record(*events, granularity="weight"):
    sides = [
        {"name": n, "firing_rate": None if n == "head" else 0.1} for n in ("a", "b", "c", "head")
    ]
    metrics = {
        "granularity": granularity,
        "regrowth": {"survival_mean": 0.25},
        "dense": {"layers": sides},
    }
    return RunRecord(metrics, events=tuple(events))


def test_where_regrowth_went_by_hand():
    found = regrowth(
        record(
            event((10, 4, 1), (30, 2, 2), (60, 0, 0), (5, 0, 0)),
            event((10, 0, None), (30, 2, None), (60, 2, None), (5, 0, None)),
        )
    )
    assert (found["unit"], found["events"], found["regrown"]) == ("weights", 2, 10)
    assert found["survival_mean"] == 0.25
    a, b, c = found["layers"]  # the classifier takes no part
    assert a == {
        "layer": "a",
        "depth": 0.0,
        "share_of_all": 0.1,
        "share_of_regrown": 0.4,
        "times_its_share": pytest.approx(4),
        "regrown": 4,
        "survival": 0.25,
    }
    assert (b["depth"], b["share_of_regrown"], b["survival"]) == (0.5, 0.4, 1.0)
    assert (c["depth"], c["share_of_regrown"], c["survival"]) == (1.0, 0.2, None)
    assert found["first_half"] == {"layers": 1, "share_of_all": 0.1, "share_of_regrown": 0.4}


def test_without_regrowth_there_is_nothing_to_tell():
    nothing = event((10, 0, None), (30, 0, None), (60, 0, None), (5, 0, None))
    assert regrowth(record(nothing)) is None
    assert regrowth(record()) is None


def test_runs_before_survival_by_layer_are_read(fake_run, tmp_path):
    found = regrowth(read_record(fake_run().write(tmp_path)))
    assert {row["survival"] for row in found["layers"]} == {None}
    assert sum(row["share_of_regrown"] for row in found["layers"]) == pytest.approx(1)
    assert sum(row["share_of_all"] for row in found["layers"]) == pytest.approx(1)


def test_in_a_real_run_survival_by_layer_adds_up(finished):
    real = read_record(finished["random"])
    found = regrowth(real)
    pairs = [(e["regrown"], e["survival"]) for e in real.events if e["survival"] is not None]
    kept = sum(count * share for count, share in pairs)
    rows = {n: [e["layers"][n] for e in real.events[:-1]] for n in real.events[0]["layers"]}
    by_layer = {n: sum(row["survived"] for row in some) for n, some in rows.items()}
    assert sum(by_layer.values()) == pytest.approx(kept)
    assert kept > 0
    for row in found["layers"]:
        brought = sum(one["regrown"] for one in rows[row["layer"]])
        assert row["survival"] == (by_layer[row["layer"]] / brought if brought else None)


def test_changes_by_class_and_layer():
    rows = class_rows(["x", "y"], [0.5, None], [0.75, 0.5])
    assert rows[0]["change_in_points"] == 25.0
    assert rows[1]["change_in_points"] is None
    layers = synops_rows(
        {"a": {"synops": 4}, "b": {"synops": 0}}, {"a": {"synops": 1}, "c": {"synops": 2}}
    )
    assert [row["ratio"] for row in layers] == [0.25, None, None]
    assert [row["layer"] for row in layers] == ["a", "b", "c"]
