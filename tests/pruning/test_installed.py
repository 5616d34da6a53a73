"""Extensions of other packages: loaded once, by name, and a broken one does no harm."""

import sys
import warnings
from importlib.metadata import EntryPoint

import pytest

from spikeprune.errors import ConfigError
from spikeprune.pruning import installed
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.installed import GROUP, load_extensions
from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.methods import all_methods, options_for
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.allocation import SHARES

EXTENSION = """
import math

from spikeprune.pruning.criteria.inputs import Criterion
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.method_rows import METHODS, Method
from spikeprune.science.allocation import SHARES

SALIENCY["square"] = Criterion(lambda name, weight, inputs: weight.square())
REGROWTH["cube"] = Criterion(lambda name, weight, inputs: weight.abs() ** 3)
SHARES["root"] = lambda layer, shape: math.sqrt(math.prod(shape))
METHODS.append(
    Method(
        name="mine",
        granularities=("weight",),
        saliency="square",
        regrow="cube",
        regrow_fraction=0.1,
        summary="of an extension",
        parts={"allocation": "root"},
    )
)
"""


@pytest.fixture
def install(monkeypatch, tmp_path):
    """`install(name=text, ...)`: modules that stand in for the entry points of packages."""
    monkeypatch.syspath_prepend(tmp_path)
    asked = []

    def make(**modules):
        entries = []
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
            entries.append(EntryPoint(name=name, value=name, group=GROUP))

        def found(*, group):
            asked.append(group)
            return entries

        monkeypatch.setattr(installed, "entry_points", found)
        load_extensions.cache_clear()
        return asked

    tables = [dict(SALIENCY), dict(REGROWTH), dict(SHARES)]
    methods = list(METHODS)
    yield make
    for table, before in zip((SALIENCY, REGROWTH, SHARES), tables, strict=True):
        table.clear()
        table.update(before)
    METHODS[:] = methods
    load_extensions.cache_clear()


def test_an_extension_is_found_by_name(install):
    asked = install(my_criteria=EXTENSION)
    options = options_for("mine", sparsity=0.9)
    assert (options.saliency, options.regrow, options.fraction) == ("square", "cube", 0.1)
    assert options.allocation == "root"
    assert "mine" in {method.name for method in all_methods()}
    assert asked == [GROUP]  # once, however often a name is looked up


def test_a_criterion_of_an_extension_is_found_without_a_method(install):
    install(my_criteria=EXTENSION)
    assert PruneOptions.of(sparsity=0.9, saliency="square").saliency == "square"
    with pytest.raises(ConfigError, match=r"unknown saliency 'cubed'.*square"):
        PruneOptions.of(sparsity=0.9, saliency="cubed")


def test_a_broken_extension_gives_a_warning_and_nothing_else(install):
    install(broken="import spikeprune\n1 / 0\n", my_criteria=EXTENSION)
    with pytest.warns(UserWarning, match="could not be loaded") as caught:
        methods = all_methods()
    assert [str(w.message) for w in caught] == [
        "the spikeprune extension 'broken' (broken) could not be loaded: ZeroDivisionError: "
        "division by zero"
    ]
    assert methods[-1].name == "mine"  # the others are loaded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all_methods() == methods  # and the warning comes once
    assert options_for("magnitude", sparsity=0.5).saliency == "magnitude"


def test_without_extensions_there_is_nothing_to_load(install):
    install()
    assert all_methods() == tuple(METHODS)


def test_a_package_in_the_current_folder_is_not_an_installed_one(tmp_path, monkeypatch):
    """As `python -m spikeprune` would find it, which searches the current folder."""
    for name in ("here", "there"):
        described = tmp_path / name / "stranger-1.0.dist-info"
        described.mkdir(parents=True)
        (described / "METADATA").write_text("Name: stranger\n")
        (described / "entry_points.txt").write_text(f"[{GROUP}]\nx = {name}_module\n")
        (tmp_path / name / f"{name}_module.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    load_extensions.cache_clear()
    monkeypatch.syspath_prepend(tmp_path / "here")
    load_extensions()
    assert "here_module" not in sys.modules
    load_extensions.cache_clear()
    monkeypatch.syspath_prepend(tmp_path / "there")
    load_extensions()
    assert "there_module" in sys.modules
    load_extensions.cache_clear()
