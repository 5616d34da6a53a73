"""`spikeprune` and `python -m spikeprune`: the command line, with an answer to signals first."""

import sys

from spikeprune.stop import Stop, ended_by


def main() -> int:
    """Run the command line with the arguments of this process and return its exit code."""
    stop = Stop()
    stop.listen()
    from spikeprune.cli import main as run  # takes seconds

    try:
        with stop:
            return run()
    except KeyboardInterrupt as error:  # between two lines of the command line itself
        return ended_by(error)


if __name__ == "__main__":
    sys.exit(main())
