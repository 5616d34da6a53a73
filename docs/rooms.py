"""Draw the rooms of the package and what they import: `python docs/rooms.py` (needs Graphviz).

An arrow goes from a room to a room that it imports; arrows that follow from two others are left
out. The picture is docs/images/rooms.svg, which CONTRIBUTING.md shows.
"""

import ast
import graphlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spikeprune"
TARGET = ROOT / "docs" / "images" / "rooms.svg"
GROUND = {"errors", "limits", "files", "choices", "user_code", "_version"}


def room(dotted: str) -> str:
    """Return the room of a module below `spikeprune`: a folder, `lab.` before those of the lab."""
    first, *rest = dotted.split(".")
    if first == "lab" and rest:
        return f"lab.{rest[0]}"
    return "ground" if first in GROUND else first or "spikeprune"


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        here = room(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spikeprune."):
                graph.setdefault(here, set()).add(room((node.module or "")[11:]))
    return {name: others - {name} for name, others in graph.items()}


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out the arrows that follow from others."""
    reach: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        others = graph.get(name, set())
        reach[name] = others | {far for other in others for far in reach[other]}
    return {
        name: {o for o in others if not any(o in reach[p] for p in others - {o})}
        for name, others in graph.items()
    }


def dot(graph: dict[str, set[str]]) -> str:
    """Return the graph in the language of Graphviz."""
    lines = ["digraph rooms {", "rankdir=BT; node [shape=box, style=rounded, fontname=Helvetica];"]
    lines += [f'"{a}" -> "{b}";' for a, others in sorted(graph.items()) for b in sorted(others)]
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    made = subprocess.run(
        ["dot", "-Tsvg"], input=dot(reduced(imports())), capture_output=True, text=True, check=True
    )
    TARGET.write_text(made.stdout, encoding="utf-8")
    print("wrote", TARGET.relative_to(ROOT))
