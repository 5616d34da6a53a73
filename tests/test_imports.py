"""Imports go one way: cli -> commands -> lab -> engine -> science; science needs torch alone."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "spikeprune"
ADAPTERS = ("adapters.base", "adapters.fusing", "adapters.hoist")  # these name no framework
ALLOWED = {
    "science": {"science"},
    "adapters": {"adapters"},
    "engine": {"engine", "science", *ADAPTERS},
    "zoo": {"zoo"},
    "data": {"data"},
    "lab": {"lab", "engine", "science", *ADAPTERS, "zoo", "data", "recipes"},
    "commands": {"commands", "lab"},
    "cli": {"commands", "lab"},
}
FRAMEWORKS = {"spikingjelly", "snntorch", "norse", "sinabs"}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(area):
    root = PACKAGE / area
    return sorted(root.rglob("*.py")) if root.is_dir() else [root.with_suffix(".py")]


@pytest.mark.parametrize("area", ALLOWED)
def test_imports_go_one_way(area):
    permitted = tuple(f"spikeprune.{name}" for name in ALLOWED[area] | {"errors", "__version__"})
    for path in modules(area):
        for name in imported_modules(path):
            if name.startswith("spikeprune"):
                assert name.startswith(permitted), f"{path.name} of {area} imports {name}"


def test_only_adapters_and_zoo_name_a_framework():
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in {"adapters", "zoo"}:
            continue
        roots = {name.split(".")[0] for name in imported_modules(path)}
        assert not roots & FRAMEWORKS, f"{path} names {roots & FRAMEWORKS}"


def test_science_needs_torch_alone():
    for path in modules("science"):
        roots = {name.split(".")[0] for name in imported_modules(path)}
        foreign = roots - sys.stdlib_module_names - {"torch", "spikeprune"}
        assert not foreign, f"{path} needs {foreign}"


def test_science_does_no_io():
    for path in modules("science"):
        roots = {name.split(".")[0] for name in imported_modules(path)}
        assert not roots & {"os", "sys", "pathlib", "io", "json", "logging", "random"}, path
