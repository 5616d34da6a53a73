"""Imports run one way: no circles between files, and each room imports only rooms before it."""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "spikeprune"
ORDER = (
    "_version",
    "errors",
    "limits",
    "choices",
    "files",
    "manifest",
    "user_code",
    "science",
    "neurons",
    "distributed",
    "data",
    "zoo",
    "adapters",
    "execution",
    "wiring",
    "training",
    "measuring",
    "observing",
    "pruning",
    "cutting",
    "inference",
    "",  # the package itself: what it exports
    "toolbox",
    "extend",
    "lab.run_folder",
    "lab.settings",
    "lab.report",
    "lab.run",
    "lab.search",
    "lab.analysis",
    "lab.compare",
    "lab.reproduce",
    "commands",
    "cli",
    "__main__",
)
"""The rooms, each with all that it may import before it."""
FRAMEWORKS = {"spikingjelly", "snntorch", "norse", "sinabs"}


def dotted(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}
DOTTED = {f"spikeprune.{name}" for name in MODULES if name}


def imported(path):
    """Yield every name that a file imports, at the top, inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in DOTTED:
            yield node.value  # for import_module


def own_imports(module):
    """Return the modules of the package that a module imports, by dotted name."""
    found = set()
    for name in imported(MODULES[module]):
        if name.split(".")[0] == "spikeprune":
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in MODULES:
                parts.pop()  # a name inside the module
            found.add(".".join(parts))
    return found - {module}


def room(module):
    """Return the entry of ORDER that a module belongs to."""
    fits = [name for name in ORDER if module == name or (name and module.startswith(f"{name}."))]
    return max(fits, key=len, default=None)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_rooms_before_its_own(module):
    if room(module) is None:
        assert not own_imports(module), f"{module} is in no room of ORDER"
        return
    here = ORDER.index(room(module))
    for other in own_imports(module):
        assert room(other) is not None, f"{other} is in no room of ORDER"
        assert ORDER.index(room(other)) <= here, f"{module} imports {other}, a later room"


def test_no_file_imports_itself_by_way_of_others():
    sorter = graphlib.TopologicalSorter({name: own_imports(name) for name in MODULES})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_room_imports_itself_by_way_of_others():
    graph = {}
    for name in MODULES:
        rooms = {room(other) for other in own_imports(name)} - {room(name)}
        graph.setdefault(room(name), set()).update(rooms)
    graphlib.TopologicalSorter(graph).prepare()


def test_only_adapters_and_zoo_name_a_framework():
    for module, path in MODULES.items():
        if module.split(".")[0] not in {"adapters", "zoo"}:
            roots = {name.split(".")[0] for name in imported(path)}
            assert not roots & FRAMEWORKS, f"{path} names {roots & FRAMEWORKS}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("science")])
def test_science_needs_torch_alone_and_does_no_io(module):
    roots = {name.split(".")[0] for name in imported(MODULES[module])}
    foreign = roots - sys.stdlib_module_names - {"torch", "spikeprune"}
    assert not foreign, f"{module} needs {foreign}"
    assert not roots & {"os", "sys", "pathlib", "io", "json", "logging", "random"}
