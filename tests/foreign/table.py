"""Print what comes of every foreign net, by running it: `python -m tests.foreign.table`."""

import platform
import sys
import warnings
from importlib.metadata import version

import torch
from tests.foreign import model_zoo, research
from tests.foreign.nets import NETS, PLAIN
from tests.foreign.walk import Walk, channels_of, pruner_of, walked

from spikeprune.errors import SpikePruneError

_HEAD = "| net | found by | layers mapped | weights | cut equal | channels | evaluate | load |"
_SETS = {
    "Plain PyTorch": PLAIN,
    "Research style on SpikingJelly": research.NETS,
    "SpikingJelly's model zoo": model_zoo.NETS,
}


def main() -> None:
    """Print a table for each set of nets, then how many were pruned and how many refused."""
    refused: list[str] = []
    for title, nets in _SETS.items():
        print(f"## {title}\n\n{_HEAD}\n|{'---|' * 8}")
        for name, net in nets.items():
            print(_row(name, net, refused), flush=True)
        print()
    total = len(NETS)
    print(f"Of {total} nets, {total - len(refused)} are pruned with three added lines to exactly")
    print(f"90 % of their prunable weights, and {len(refused)} are refused at construction.\n")
    for line in refused:
        print(f"- {line}")
    print(
        f"\nPython {platform.python_version()}, PyTorch {torch.__version__}, "
        f"SpikingJelly {version('spikingjelly')}."
    )


def _row(name: str, net, refused: list[str]) -> str:
    try:
        torch.manual_seed(0)
        pruner_of(net, sparsity=0.9).close()
    except SpikePruneError as error:
        refused.append(f"{name}: {error}")
        return f"| {name} | refused | | | | | | |"
    walk = walked(net)
    cells = (
        name,
        walk.found_by,
        f"{walk.mapped} of {walk.layers}",
        _weights(walk),
        _cut(walk),
        channels_of(net).split(":")[0],
        _evaluated(net, walk),
        _yes(walk.loaded),
    )
    return f"| {' | '.join(cells)} |"


def _weights(walk: Walk) -> str:
    exact = walk.live == round(0.1 * walk.prunable)
    dense = f", {len(walk.dense)} layers dense" if walk.dense else ""
    return f"{walk.live} of {walk.prunable}{'' if exact else ', NOT EXACT'}{dense}"


def _cut(walk: Walk) -> str:
    if walk.cut_difference > 1e-5:
        return f"NO, {walk.cut_difference:.2g}"
    return f"yes, {walk.cut_channels} channels" if walk.cut_channels else "masked"


def _evaluated(net, walk: Walk) -> str:
    if not net.evaluates:
        return "no classes"
    equal = walk.synops == walk.by_hand and walk.accuracy[0] == walk.accuracy[1]
    partly = any("not counted" in note for note in walk.evaluate_notes)
    return _yes(equal) + (", products named as not counted" if partly else "")


def _yes(said: bool) -> str:
    return "yes" if said else "NO"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
