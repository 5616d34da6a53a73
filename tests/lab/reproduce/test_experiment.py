from spikeprune.lab.reproduce.experiment import ExperimentInputs
from spikeprune.lab.reproduce.required_runs import RequiredRun, required_run


def test_a_required_run_has_its_cells_of_every_seed(measured):
    inputs = measured("table-unstructured").inputs
    setting = inputs.scale.tables[0]
    row = inputs.row(required_run(inputs.scale, setting, "granet", 0.95))
    assert (row.setting, row.method, row.sparsity) == (setting.name, "granet", 0.95)
    assert row.seeds == (0, 1)
    own = inputs.row(RequiredRun(setting, "granet", 0.95, {"method": "other"}))
    assert own is row  # setting, label and sparsity decide
    first_seed = [cell for cell in inputs.cells if cell.seed == 0]
    fewer = ExperimentInputs(inputs.scale, first_seed, inputs.measured)
    assert fewer.row(required_run(inputs.scale, setting, "granet", 0.95)).seeds == (0,)
