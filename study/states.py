"""`python -m study.states` prints from which states of the code the results of each part come.

A state is the version of spikeprune and a hash of the package's source, as every run records it.
The results have the states of a file, not of a run: a file with several mixes them.
"""

import json

from spikeprune.lab.report.markdown import table
from study import parts
from study.groups import RESULTS, groups


def results_of_parts():
    """Return the groups that each part shows, by the number of the part."""
    return {
        "1": parts.named().values(),
        "2": (*parts.named().values(), *groups("ablation"), *groups("combined")),
        "3": [each for rows in parts.weights().values() for each in rows],
        "4": [each for rows in parts.channels().values() for each in rows],
        "5": (*parts.confirm().values(), *groups("control")),
        "6": (*parts.confirm().values(), *groups("cost")),
        "8": parts.longer().values(),
        "9": parts.again().values(),
        "10": (
            *(each for rows in parts.high_sparsity().values() for each in rows),
            *parts.within_layer(),
        ),
        "11": (
            *parts.forms_at_equal_synops(parts.SYNOPS_80),
            *parts.forms_at_equal_synops(parts.SYNOPS_95),
            *parts.erk_at_equal_sparsity(),
        ),
        "12": parts.shuffled(),
        "13": parts.synops_confirm().values(),
    }


def states(stem):
    """Return the states of the code of a file of results."""
    return tuple(json.loads((RESULTS / f"{stem}.json").read_text())["facts"]["code"])


def by_part():
    """Return, by part, the files of its results by their states of the code."""
    found = {}
    for part, shown in results_of_parts().items():
        files = found.setdefault(part, {})
        for stem in dict.fromkeys(each.stem for each in shown):
            files.setdefault(states(stem), []).append(stem)
    return found


def mixed():
    """Return the parts whose results come from several states, in words."""
    *first, last = (part for part, files in by_part().items() if len(_states(files)) > 1)
    return f"{', '.join(first)} and {last}"


def _states(files):
    return {code for codes in files for code in codes}


def _named(codes):
    return " and ".join(f"`{code}`" for code in codes)


def states_table():
    """Return the table of the page."""
    lines = []
    for part, files in by_part().items():
        words = (f"{_named(codes)}: {', '.join(stems)}" for codes, stems in files.items())
        lines.append((part, str(len(_states(files))), "; ".join(words)))
    lines.insert(6, ("7", "", "not recorded in `entropy`"))
    return table(("part", "states", "results by state"), lines)


if __name__ == "__main__":
    print(states_table())
