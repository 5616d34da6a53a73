"""Settings of all tests: no timed assertion, and the same examples in every CI run."""

import os

from hypothesis import settings

settings.register_profile("spikeprune", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("spikeprune")
