"""Layers by pattern, as `include` and `exclude` name them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from spikeprune.errors import ConfigError


def matching(
    names: Iterable[str], include: Iterable[str], exclude: Iterable[str]
) -> tuple[str, ...]:
    """Return the names that match a pattern of `include` (empty: all) and none of `exclude`.

    Patterns are shell-style (`features.*`). A pattern that matches no name is an error: a
    misspelt layer would otherwise be pruned, or spared, in silence.

    Raises:
        ConfigError: a pattern matches nothing, or nothing is left.
    """
    names, include, exclude = tuple(names), tuple(include), tuple(exclude)
    if not names:
        raise ConfigError("the net has no convolution or linear layer whose weight can be pruned")
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"the layer pattern {pattern!r} matches none of the layers: {', '.join(names)}"
            )
    chosen = [
        name
        for name in names
        if (not include or any(fnmatchcase(name, pattern) for pattern in include))
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    ]
    if not chosen:
        raise ConfigError(
            f"include and exclude patterns leave no layer to prune of: {', '.join(names)}"
        )
    return tuple(chosen)
