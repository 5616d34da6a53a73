"""Recipes: ready configurations that ship with the package, and the user's own YAML files."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError, unknown_name
from spikeprune.files import read_text
from spikeprune.lab.settings.yaml_values import parse_yaml


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes."""
    names = (file.name for file in files("spikeprune").joinpath("recipes").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _text(name: str) -> str:
    path = files("spikeprune").joinpath("recipes", f"{name}.yaml")
    return path.read_text(encoding="utf-8")


def recipe_summary(name: str) -> str:
    """Return the first line of a shipped recipe, a comment that says what it is."""
    return _text(name).split("\n", 1)[0].removeprefix("#").strip()


def read_recipe(recipe: str) -> dict[str, Any]:
    """Return the fields that a recipe sets: a shipped one by name, or a YAML file."""
    if recipe in recipe_names():
        return parse_yaml(_text(recipe), f"recipe {recipe}")
    path = Path(recipe).expanduser()
    if path.is_file():
        return parse_yaml(read_text(path), recipe)
    if path.suffix in {".yaml", ".yml"}:
        raise ConfigError(
            f"expected a recipe, but there is no file {recipe}; "
            f"the shipped ones are: {', '.join(recipe_names())}"
        )
    raise unknown_name("recipe", recipe, recipe_names())
