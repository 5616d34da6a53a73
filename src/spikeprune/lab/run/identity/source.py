"""The source files of a user's own modules: those that are named, and all that these import.

Imports are followed in the text, so that one inside of a function counts and nothing is run.
"""

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from spikeprune.errors import RunError

_PACKAGE = Path(__file__).parents[3]
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_LAZY = frozenset({"import_module", "__import__"})
_first_seen: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Found:
    """A module that was found: its dotted name, its file, and the folder of a package."""

    name: str
    file: Path | None  # None: a package without `__init__.py`
    folders: tuple[str, ...]  # where its submodules lie; empty unless it is a package


def source_digests(modules: Iterable[str]) -> dict[str, str]:
    """Return a SHA-256 by source file of these modules and of all that they import.

    Followed are modules whose file lies below the current folder, an entry of PYTHONPATH or the
    folder of a named module; never Python's own, this package, or what is installed. A named module
    that is installed counts by the record of its installation. A module that imports names which
    it computes counts with every Python file of its folder and of the packages in it. Keys are
    paths by import, such as `nets/blocks.py`. A named module without a file, such as one typed into
    a notebook, has an empty digest: it cannot be compared.

    Raises:
        RunError: a file has changed since this process imported it.
    """
    walk, installed = _Walk(), dict[str, str]()
    for name in modules:
        if not walk.start(name):
            installed |= _installation(name.partition(".")[0]) or {name: ""}
    walk.follow()
    return dict(sorted((installed | walk.digests).items()))


class _Walk:
    """A search through imports, from named modules."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._path = [os.getcwd(), *(entry or os.getcwd() for entry in sys.path)]
        named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        self._folders = {Path(f).resolve() for f in (os.getcwd(), *filter(None, named))}
        self._waiting: list[str] = []
        self._seen: set[str] = set()
        self._known: dict[str, _Found | None] = {}

    def start(self, name: str) -> bool:
        """Begin at a module; return whether it is of the user's own files."""
        found = self._find(name.partition(".")[0])
        if found is None or not (found.file or found.folders):
            return False
        top = (Path(found.folders[0]) if found.folders else Path(found.file or "")).resolve()
        if _is_installed(top):
            return False
        self._folders.add(top.parent)
        self._waiting.append(name)
        return True

    def follow(self) -> None:
        """Digest the modules that wait, and all that they import."""
        while self._waiting:
            name = self._waiting.pop()
            if name in self._seen:
                continue
            self._seen.add(name)
            found = self._find(name)
            if found is None or found.file is None or not self._is_own(found.file):
                continue
            if not found.file.is_file():  # inside of an archive
                self.digests[name] = ""
                continue
            content = found.file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            _refuse_edited(name, found.file, digest)
            kind = "/__init__" if found.folders else ""
            self.digests[f"{name.replace('.', '/')}{kind}{found.file.suffix}"] = digest
            if found.file.suffix == ".py":
                self._waiting += self._imports(found, content)

    def _find(self, name: str) -> _Found | None:
        """Find a module as Python does, without importing its parents."""
        if name not in self._known:
            parent, _, _ = name.rpartition(".")
            above = self._find(parent) if parent else None
            path = self._path if not parent else list(above.folders) if above else []
            found = _spec(name, path) if path else None
            self._known[name] = found or (None if parent else _loaded(name))
        return self._known[name]

    def _is_own(self, file: Path) -> bool:
        place = file.resolve()
        return not _is_installed(place) and any(map(place.is_relative_to, self._folders))

    def _imports(self, module: _Found, content: bytes) -> Iterator[str]:
        """Yield the modules that a module's text may import, with the packages around them."""
        try:
            nodes = list(ast.walk(ast.parse(content)))
        except (SyntaxError, ValueError):  # its import will say so
            return
        package = module.name if module.folders else module.name.rpartition(".")[0]
        for node in nodes:
            for name in _named_by(node, package):
                parts = name.split(".")
                yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        if any(map(_is_computed, nodes)) and module.file is not None:
            yield from _below(module.file.parent, package)


def _spec(name: str, path: list[str]) -> _Found | None:
    try:
        spec = PathFinder.find_spec(name, path)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = tuple(spec.submodule_search_locations or ())
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return _Found(name, file, folders)


def _loaded(name: str) -> _Found | None:
    """Return a module that came in another way, such as the script that was started."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    return _Found(name, Path(origin), tuple(getattr(module, "__path__", ()))) if origin else None


def _named_by(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that a node imports; `package` is where relative ones start."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), package)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.Call) and _is_lazy(node) and node.args:
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield _absolute(name.value, package)
    elif isinstance(node, ast.Assign) and "__all__" in map(_target, node.targets):
        for value in ast.walk(node.value):  # `from package import *` imports these
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield f"{package}.{value.value}"


def _absolute(name: str, package: str) -> str:
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join(filter(None, (*base, name[level:])))


def _target(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_lazy(node: ast.Call) -> bool:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else _target(called)
    return name in _LAZY


def _is_computed(node: ast.AST) -> bool:
    """Whether a node imports a module whose name is not in the text."""
    if not isinstance(node, ast.Call) or not _is_lazy(node):
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant))


def _below(folder: Path, package: str) -> Iterator[str]:
    """Yield every module of a folder and of the packages in it, by dotted name."""
    for entry in sorted(folder.iterdir()):
        name = f"{package}.{entry.stem}" if package else entry.stem
        if entry.suffix == ".py" and entry.stem.isidentifier():
            yield name.removesuffix(".__init__")
        elif entry.is_dir() and (entry / "__init__.py").is_file():
            yield from _below(entry, name)


def _is_installed(place: Path) -> bool:
    if _INSTALLED & set(place.parts) or place.is_relative_to(_PACKAGE):
        return True
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return any(place.is_relative_to(Path(folder).resolve()) for folder in standard if folder)


def _installation(package: str) -> dict[str, str]:
    """Return a digest of the record of an installed package, which has a checksum of each file."""
    if package in sys.stdlib_module_names or package == "spikeprune":
        return {}
    found = {}
    for name in packages_distributions().get(package, ()):
        try:
            made = distribution(name)
        except PackageNotFoundError:
            continue
        record = made.read_text("RECORD") or made.version
        found[f"{name} (installed)"] = hashlib.sha256(record.encode()).hexdigest()
    return found


def _refuse_edited(name: str, file: Path, digest: str) -> None:
    """Refuse a file that is not what this process has imported: Python would run the old one."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None or origin is None or Path(origin).resolve() != file.resolve():
        return
    if _first_seen.setdefault(module, digest) != digest:
        raise RunError(
            f"{file} has changed since this process imported it, so the old code would run; start "
            "a new process (restart the kernel of a notebook)"
        )
