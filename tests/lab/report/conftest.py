"""Records of made-up runs, one for each trait that a report must stand."""

import pytest

from spikeprune.lab.report.run_record import read_record

VARIANTS = {
    "weight": {},
    "channel": {"granularity": "channel", "events": 1},
    "no regrowth": {"method": "magnitude", "regrow": False, "cut": False},
    "no events": {"events": 0, "history": False, "regrow": False, "cut": False},
    "large": {"layers": 22, "events": 39, "classes": 100, "prefix": "net.stage3.block12.conv_bn"},
}


@pytest.fixture
def record_of(fake_run, tmp_path):
    """The record of a made-up run: `record_of(events=1)`."""

    def read(**traits):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return read_record(fake_run(**traits).write(folder))

    return read


@pytest.fixture
def plain(record_of):
    return record_of()


@pytest.fixture(params=VARIANTS)
def any_run(request, fake_run):
    return fake_run(**VARIANTS[request.param])


@pytest.fixture
def any_record(any_run, tmp_path):
    return read_record(any_run.write(tmp_path / "any"))
