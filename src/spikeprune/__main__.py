"""`python -m spikeprune`: the command line, as launchers such as torchrun start it."""

import sys

from spikeprune.cli import main

if __name__ == "__main__":
    sys.exit(main())
