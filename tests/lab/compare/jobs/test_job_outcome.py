import pytest

from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.job_outcome import outcome
from spikeprune.lab.compare.jobs.worker import BUSY, DONE, FAILED


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (FAILED, "06:00:00  prune\n06:00:01  error: no data here\n\n", "no data here"),
        (FAILED, "06:00:00  prune\nTraceback\nKeyError: 'x'\n", "KeyError: 'x'"),
        (FAILED, None, "its log is empty"),
        (-9, "06:00:00  prune\n", "killed by SIGKILL"),
        (-11, "06:00:00  prune\n", "killed by SIGSEGV"),
        (None, "06:00:00  prune\n", "its worker was killed"),
        (DONE, "06:00:00  report\n", "report"),  # no metrics: not finished, whatever it says
    ],
)
def test_the_reason_is_in_the_log(grid, tmp_path, code, text, error):
    job, log = jobs(grid())[0], tmp_path / "log"
    if text is not None:
        log.write_text(text)
    found = outcome(job, code, log)
    assert (found.error, found.busy) == (error, False)


def test_finished_and_busy(grid, finish, tmp_path):
    job = jobs(grid())[0]
    assert outcome(job, BUSY, tmp_path / "log").busy
    finish(job)
    found = outcome(job, DONE, tmp_path / "log")
    assert (found.error, found.busy) == (None, False)
