"""A share of all cases, bounded in time; `python -m tests.chaos.table` runs them all.

`CHAOS_EACH=1` in the environment runs every case here too.
"""

import gc
import os

import pytest
from tests.chaos import disk
from tests.chaos.faults import damage, full_disk, kills, neighbours, no_access, swapped
from tests.chaos.ground import Ground, share

from spikeprune import cli
from spikeprune.measuring import latency
from spikeprune.science import health

KINDS = {
    kills: 113,
    full_disk: 127,
    no_access: 29,
    swapped: 41,
    neighbours: 181,
    damage: 97,
}
"""Which share of the cases of a kind is run: every n-th one."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """The finished and the half-finished run that all cases start from."""
    with pytest.MonkeyPatch.context() as patch:
        # What `tiny.warm` sets is put back for other tests.
        changed = ((latency, "_ROUNDS"), (latency, "_SECONDS"), (cli, "_parser"), (health, "LEVEL"))
        for owner, name in changed:
            patch.setattr(owner, name, getattr(owner, name))
        yield Ground(tmp_path_factory.mktemp("chaos"))
    gc.unfreeze()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.rpartition(".")[2])
def test_every_case_ends_well(kind, ground, tmp_path):
    if kind in (full_disk, no_access) and not disk.can_mount(tmp_path / "probe"):
        pytest.skip("this process may not mount; try `unshare --map-root-user --mount make test`")
    each = int(os.environ.get("CHAOS_EACH", KINDS[kind]))
    cases = kind.cases(ground)
    assert len(cases) > each
    bad = {}
    for number, case in enumerate(share(cases, each)):
        place = tmp_path / f"case{number}"
        place.mkdir()
        found = case.check(place)
        if not found.good:
            bad[case.name] = f"{found.kind}: {found.seen}"
    assert not bad, "\n".join(f"{name}: {why}" for name, why in bad.items())
