from spikeprune.lab.run.stages.training_cost import TrainingCost


def test_costs_add_up():
    one, other = TrainingCost(1, 2, 3, 4), TrainingCost(10, 20, 30, 40)
    assert one.plus(other) == TrainingCost(11, 22, 33, 44)
    assert (one, other) == (TrainingCost(1, 2, 3, 4), TrainingCost(10, 20, 30, 40))
