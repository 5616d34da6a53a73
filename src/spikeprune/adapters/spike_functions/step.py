"""The firing rule of a spike function: the value of its argument at which it steps from 0 to 1."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_REACH = 64.0  # thresholds are looked for within [-_REACH, _REACH]
_TINY = 1e-30


@dataclass(frozen=True)
class Step:
    """The rule `spike = (argument - threshold >= 0)`, or `> 0`.

    Attributes:
        threshold: a number that the function compares with, or the position of the argument (a
            tensor that broadcasts to the first one) that holds it.
        strict: whether an argument equal to the threshold gives no spike.
    """

    threshold: float | int
    strict: bool

    def relative(self, arguments: Sequence[Any]) -> Tensor:
        """Return the argument relative to threshold, detached: a neuron fires where it is >= 0."""
        by = self.threshold
        x: Tensor = arguments[0].detach() - (arguments[by] if isinstance(by, int) else by)
        return x.masked_fill(x == 0, -_TINY) if self.strict else x


def step_of(function: Callable[..., Any], arguments: Sequence[Any], output: Tensor) -> Step | None:
    """Return the rule of a function from one of its calls; None if it is no step of its argument.

    A number as threshold is found by calling the function on numbers; a tensor among the other
    arguments is a threshold if it explains the output, which must be 0 or 1.
    """
    tensors = [i for i, a in enumerate(arguments[1:], 1) if isinstance(a, Tensor) and a.numel() > 1]
    if tensors:
        candidates = [Step(i, _strict_at(function, arguments, i)) for i in tensors]
    else:
        found = _by_probing(function, arguments)
        candidates = [] if found is None else [found]
    return next((step for step in candidates if explains(step, arguments, output)), None)


def explains(step: Step, arguments: Sequence[Any], output: Tensor) -> bool:
    """Return whether a call's output is that of the rule."""
    try:
        x = step.relative(arguments)
    except (RuntimeError, TypeError):  # an argument that does not broadcast
        return False
    return x.shape == output.shape and torch.equal((x >= 0).to(output.dtype), output.detach())


@torch.no_grad()
def _strict_at(function: Callable[..., Any], arguments: Sequence[Any], at: int) -> bool:
    """Return whether a function of a potential equal to its threshold gives no spike."""
    equal = arguments[at].detach().expand_as(arguments[0]).to(arguments[0].dtype)
    try:
        return not bool(function(equal, *arguments[1:]).any())
    except (RuntimeError, TypeError):
        return False


@torch.no_grad()
def _by_probing(function: Callable[..., Any], arguments: Sequence[Any]) -> Step | None:
    like = arguments[0]

    def fires(*values: float) -> list[float]:
        probe = torch.tensor(values, dtype=like.dtype, device=like.device)
        found = function(probe, *arguments[1:])
        return [math.nan] if not isinstance(found, Tensor) else found.detach().float().tolist()

    try:
        if fires(-_REACH, -1e-6, 1e-6, _REACH) == [0, 0, 1, 1]:
            return Step(0.0, strict=fires(0.0) == [0])
        if fires(-_REACH, _REACH) != [0, 1]:
            return None
        low, high = -_REACH, _REACH
        while True:  # until the two are neighbours in the type of the argument
            middle = float(torch.tensor((low + high) / 2, dtype=like.dtype))
            if middle in (low, high):
                break
            low, high = (low, middle) if fires(middle) == [1] else (middle, high)
    except (RuntimeError, TypeError, ValueError, IndexError):  # not a function of numbers
        return None
    # Of the two neighbours, that nearer to a short decimal was meant: 1, not 0.99999994.
    meant = min((high, low), key=lambda value: abs(value - float(f"{value:.6g}")))
    return Step(meant, strict=meant == low)
