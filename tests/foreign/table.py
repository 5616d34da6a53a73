"""The table of `docs/foreign-nets.md`, from running every net: `python -m tests.foreign.table`."""

import importlib.metadata
import platform
import re
import sys

import torch
from tests.foreign import spikingjelly_nets, test_plain, zoo
from tests.foreign.walk import Row, walk

from spikeprune.errors import SpikePruneError

GROUPS = {
    "plain PyTorch": test_plain.NETS,
    "SpikingJelly's zoo": zoo.ZOO,
    "research code on SpikingJelly": spikingjelly_nets.NETS,
}
HEAD = (
    *("net", "found by", "layers pruned", "with regrowth by neuron", "exact", "cut equal"),
    *("channels", "evaluate", "load"),
)


def main():
    """Print versions, the table and the counts."""
    rows, refused = [], []
    for group, nets in GROUPS.items():
        rows.append([f"**{group}**", *[""] * (len(HEAD) - 1)])
        for name, net in nets.items():
            torch.manual_seed(0)
            try:
                rows.append(cells(name, net, walk(net, size=4)))
            except SpikePruneError as error:
                refused.append(name)
                rows.append([name, f"refused: {error}", *[""] * (len(HEAD) - 2)])
            print(name, file=sys.stderr)
    total = sum(map(len, GROUPS.values()))
    print(versions(), end="\n\n")
    print(f"{total - len(refused)} of {total} nets are pruned with three lines, ", end="")
    print(f"{len(refused)} are refused at construction.", end="\n\n")
    for row in (HEAD, ["---"] * len(HEAD), *rows):
        print("|", " | ".join(row), "|")


def cells(name, net, row: Row):
    """Return the cells of one net."""
    ways = {"adapter": row.adapted, "spike functions": row.found}
    return [
        name,
        ", ".join(way for way, number in ways.items() if number) or "none",
        f"{row.prunable} of {row.layers}",
        str(row.mapped),
        yes(row.exact),
        yes(row.cut_equal) + (", masked" if "no channel was cut" in row.cut_note else ""),
        row.channels if row.channels == "cut" else f"refused: {short(row.channels)}",
        yes(row.evaluated) if net.evaluates else "no classes",
        yes(row.loaded),
    ]


def yes(fact):
    """Return a word for a fact."""
    return "yes" if fact else "NO"


def short(sentence, most=90):
    """Return a sentence without brackets and ways out, no longer than a cell bears."""
    sentence = re.split(r" \(|;", sentence)[0].replace("|", "/")
    return sentence if len(sentence) <= most else f"{sentence[:most].rsplit(' ', 1)[0]} ..."


def versions():
    """Return the versions in one line."""
    names = {"torch": "torch", "SpikingJelly": "spikingjelly"}
    found = [f"{name} {importlib.metadata.version(of)}" for name, of in names.items()]
    return ", ".join([f"Python {platform.python_version()}", *found])


if __name__ == "__main__":
    main()
