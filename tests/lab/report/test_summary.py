from dataclasses import replace

from spikeprune.lab.report import summary


def changed(record, **parts):
    return replace(record, metrics={**record.metrics, **parts})


def cards_of(record):
    return {card.label: card for card in summary.cards(record)}


def test_the_latency_of_the_event_driven_net_stands_beside(plain):
    assert "event-driven" not in cards_of(plain)["Latency"].note
    latency = {"latency_ms": {"b1": 1.25, "b32": 40.0}}
    note = cards_of(changed(plain, event_driven=latency))["Latency"].note
    assert "event-driven, batch of 1: 1.25\u00a0ms" in note


def test_the_headline_tells_what_got_worse(record_of):
    record = record_of(synops_factor=1.31)
    cards = cards_of(record)
    assert cards["SynOps"].verdict == "worse"
    assert "31.0" in cards["SynOps"].delta
    assert "more" in cards["SynOps"].delta
    assert cards["Energy"].verdict == "worse"
    assert cards["Test accuracy"].verdict == "worse"
    assert cards["Test accuracy"].delta.startswith("−0.85")
    assert cards["Non-zero parameters"].verdict == "better"
    assert cards["Latency"].verdict == "same"
    assert "SynOps rose to 131\u00a0% of dense" in summary.headline(record)
    assert "0.85\u00a0points below the dense one" in summary.headline(record)


def test_a_better_net_is_called_better(plain):
    record = changed(plain, pruned={**plain.pruned, "test_accuracy": 0.9})
    card = cards_of(record)["Test accuracy"]
    assert (card.verdict, card.delta) == ("better", "+1.03\u00a0points")
    assert "above the dense one" in summary.headline(record)
    same = changed(plain, pruned={**plain.pruned, "test_accuracy": 0.8897})
    assert cards_of(same)["Test accuracy"].verdict == "same"
    assert "as accurate as" in summary.headline(same)


def test_the_accuracy_has_its_sampling_error(plain):
    # 1.96 sqrt(0.8812 (1 - 0.8812) / 10000) = 0.00634
    assert "10,000 test samples: ±0.63 points (95 %)" in cards_of(plain)["Test accuracy"].note


def test_what_was_not_measured_says_so(plain):
    record = changed(plain, dense={}, pruned={}, cost={}, cut={})
    assert {card.verdict for card in summary.cards(record)} == {"unknown"}
    assert {card.delta for card in summary.cards(record)} == {"not measured"}
    assert "not measured" in summary.headline(record)
    assert summary.layer_table(record) == ([], [])
    assert summary.cost_rows(record)[0] == ("Pruning epochs", "–", "not measured")


def test_the_settings_of_the_run(plain):
    facts = dict(summary.facts(plain))
    assert facts["Data"] == "Fashion-MNIST (fashion-mnist)"
    assert facts["Input"] == "1 × 28 × 28 (static images)"
    assert facts["Net"] == "vgg-small (neuron=lif, reset=hard)"
    assert facts["Target"] == "90 % fewer weights"
    assert facts["Seed"] == "0"
    assert "computed once a sample" in facts["First layer"]
    assert summary.title(plain) == "vgg-small on Fashion-MNIST, 90 % fewer weights"
    none = changed(plain, target={})
    assert summary.title(none) == "vgg-small on Fashion-MNIST"
    assert "Target" not in dict(summary.facts(none))


def test_a_budget_of_operations_is_named(plain):
    record = changed(plain, target={"sparsity": 0.9, "budget": "synops"})
    assert summary.title(record).endswith(", 90 % fewer SynOps")


def test_the_cost_of_both_runs(plain):
    cost = {term: row for term, *row in summary.cost_rows(plain)}
    assert cost["Pruning epochs"] == ["–", "6"]
    assert cost["Total epochs"] == ["10", "10"]
    assert cost["Training FLOPs, sparse-aware"] == ["–", "39.0\u00a0T"]
    assert not any("teacher" in term for term in cost)


def test_the_cost_of_a_teacher_is_shown_where_there_was_one(plain):
    for flops, shown in ((2.7e13, ["–", "27.0\u00a0T"]), (0.0, None)):
        costs = {**plain.metrics["cost"], "teacher_flops": flops}
        cost = {term: row for term, *row in summary.cost_rows(changed(plain, cost=costs))}
        assert cost.get("Of these, the teacher's forward passes") == shown


def test_layers_have_the_columns_that_hold_numbers(plain):
    headings, rows = summary.layer_table(plain)
    assert len(rows) == 6
    assert "value-weighted ACs" not in headings  # no layer has any
    first = dict(zip(headings, rows[0], strict=True))
    assert first["layer"].text == "features.0"
    assert (first["shape"].text, first["shape"].value) == ("16 × 16 × 3 × 3", 2304)
    assert first["operand"].text == "analogue"
    assert first["SynOps, dense"].value == 900_000
    assert (first["channels before"].value, first["channels after"].value) == (16, 13)
    last = dict(zip(headings, rows[-1], strict=True))
    assert (last["firing, dense"].text, last["firing, dense"].value) == ("–", None)


def test_a_layer_that_was_cut_away_keeps_its_row(plain):
    pruned = {**plain.pruned, "layers": plain.pruned["layers"][1:]}
    headings, rows = summary.layer_table(changed(plain, pruned=pruned))
    gone = dict(zip(headings, rows[0], strict=True))
    assert gone["layer"].text == "features.0"
    assert gone["SynOps, dense"].value == 900_000
    assert gone["SynOps, pruned"].text == "–"


def test_nothing_of_a_dead_net_is_better(plain):
    assert "better" in {card.verdict for card in summary.cards(plain)}
    dead = changed(plain, pruned={**plain.pruned, "warnings": ["no neuron of a fires"]})
    assert "better" not in {card.verdict for card in summary.cards(dead)}
    assert cards_of(dead)["Test accuracy"].verdict == "worse"
    start = "No success: there are signs of a dead net. On the test set"
    assert summary.headline(dead).startswith(start)


def test_silent_neurons_are_a_fact_of_the_run(plain):
    assert "Silent" not in dict(summary.facts(plain))
    nets = {"dense": {**plain.dense, "silent_neurons": 0.125}}
    nets["pruned"] = {**plain.pruned, "silent_neurons": 0.5}
    words = dict(summary.facts(changed(plain, **nets)))["Silent"]
    assert words.startswith("50.00\u00a0% of the neurons never fired")
    assert "dense 12.50" in words
