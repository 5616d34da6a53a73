"""How many cases are tried: `SPIKEPRUNE_FUZZ_CASES`, 2,000 by default, over all tests here."""

import os

from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("SPIKEPRUNE_FUZZ_CASES", "2000"))
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def share(part):
    """Return the settings of a test that tries `part` of the cases."""
    return settings(
        max_examples=max(1, round(part * CASES)), deadline=None, suppress_health_check=_SLOW
    )
