"""Watching the calls of autograd functions inside a model's forwards.

A spike is a step of the membrane potential with a surrogate gradient, which in PyTorch is a
`torch.autograd.Function`. Its `forward` is replaced while watching: that also reaches functions
whose `apply` was stored before (`spike = Surrogate.apply`). The frames of the call say in which
module, and at which place of its code.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn

_MODULE_CALL = nn.Module._wrapped_call_impl.__code__
_SKIPPED = (torch.nn.modules.module.__file__, torch.autograd.function.__file__, __file__)
_NOT_WATCHED = ("torch.", "torch_", "spikeprune.")


@dataclass(frozen=True)
class Place:
    """A place in the code of a module's forward, in one module of a net."""

    module: str  # dotted name in the net; `others[0]` where a Python list holds the module
    code: tuple[tuple[CodeType, int], ...]  # the calls between the forward and the function


@dataclass
class SpikeCall:
    """One call of an autograd function.

    Attributes:
        place: where it was called.
        function: its class.
        arguments: as the caller gave them.
        output: as it returned it.
        node: its node in the autograd graph; None until the call has returned where the function
            has a `setup_context`.
    """

    place: Place
    function: type[torch.autograd.Function]
    arguments: tuple[Any, ...]
    output: Any
    node: Any = None


OnCall = Callable[[SpikeCall], Tensor | None]
"""Takes a call; the tensor that it returns, if any, replaces the output (it must not be shared)."""


@contextmanager
def watching(model: nn.Module, on_call: OnCall) -> Iterator[None]:
    """Report every call of an autograd function inside a forward of `model` while active.

    Functions of torch itself and of this package are left out. Code that `torch.compile` has
    compiled is not seen.
    """
    names = CallNames(model)

    def report(
        function: type[torch.autograd.Function], node: Any, arguments: tuple[Any, ...], output: Any
    ) -> tuple[Any, SpikeCall | None]:
        place = names.place(sys._getframe(1))
        if place is None:
            return output, None
        call = SpikeCall(place, function, arguments, output, node)
        replaced = on_call(call)
        return (output if replaced is None else replaced), call

    with _reporting(report):
        yield


Report = Callable[
    [type[torch.autograd.Function], Any, tuple[Any, ...], Any], tuple[Any, SpikeCall | None]
]
"""Takes function, node, arguments and output; gives the output and the record of the call."""

_reports: list[Report] = []  # of everybody who watches now
_replaced: list[tuple[type, str, Any]] = []  # what was there before, while anybody does


class CallNames:
    """Names of the modules of a net, from the frames of a call."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._known: dict[int, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._known.setdefault(id(module), []).append(name)
        self._found: dict[tuple[int, ...], str] = {}

    def place(self, frame: FrameType | None) -> Place | None:
        """Return the place of a call from the frame that called; None outside of the model."""
        code: list[tuple[CodeType, int]] = []
        stack: list[nn.Module] = []
        while frame is not None:
            if frame.f_code is _MODULE_CALL:
                stack.append(frame.f_locals["self"])
                if stack[-1] is self._model:
                    break
            elif not stack and frame.f_code.co_filename not in _SKIPPED:
                code.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        while stack and id(stack[-1]) not in self._known:  # the caller is outside of the net
            stack.pop()
        if not stack:
            return None
        key = tuple(map(id, stack))
        if key not in self._found:
            self._found[key] = self._name(stack[::-1])
        return Place(self._found[key], tuple(code))

    def _name(self, path: list[nn.Module]) -> str:
        """Return the name of the last module, under the name of the one that called it."""
        name, holder = self._known[id(path[0])][0], path[0]
        for module in path[1:]:
            known = self._known.get(id(module), [])
            below = [n for n in known if not name or n.startswith(f"{name}.")]
            if below or known:
                name = (below or known)[0]
            else:
                held = _held(holder, module)
                name = f"{name}.{held}" if name else held
            holder = module
        return name


def _held(holder: nn.Module, module: nn.Module) -> str:
    """Return the name of a module that is not registered: an attribute, an index or its class."""
    for attribute, value in vars(holder).items():
        if value is module:
            return attribute
        items = value.items() if isinstance(value, dict) else enumerate(_sequence(value))
        for key, item in items:
            if item is module:
                return f"{attribute}[{key!r}]"
    return f"({type(module).__name__})"


def _sequence(value: object) -> tuple[object, ...] | list[object]:
    return value if isinstance(value, tuple | list) else ()


def _subclasses(kind: type) -> Iterator[Any]:
    children: list[Any] = kind.__subclasses__()
    for child in children:
        yield child
        yield from _subclasses(child)


@contextmanager
def _reporting(report: "Report") -> Iterator[None]:
    """Report calls while active. Several may be active, and end in any order."""
    _reports.append(report)
    try:
        _replace()
        yield
    finally:
        _reports.remove(report)
        if not _reports:
            for function, name, old in _replaced:
                setattr(function, name, old)
            _replaced.clear()


def _replace() -> None:
    """Replace the forward of every autograd function that is not replaced yet."""
    done = {function for function, _, _ in _replaced}
    for function in set(_subclasses(torch.autograd.Function)) - done:
        if function.__module__.startswith(_NOT_WATCHED) or "forward" not in vars(function):
            continue
        forward = vars(function)["forward"].__get__(None, function)
        if function.setup_context is torch.autograd.Function.setup_context:
            _swap(function, "forward", _with_context(function, forward))
        else:
            made: list[SpikeCall] = []
            _swap(function, "forward", _without_context(function, forward, made))
            if "setup_context" in vars(function):
                setup = vars(function)["setup_context"].__get__(None, function)
                _swap(function, "setup_context", _setting_up(setup, made))


def _swap(function: type, name: str, new: Any) -> None:
    _replaced.append((function, name, vars(function)[name]))
    setattr(function, name, staticmethod(new))


def _reported(
    function: type, node: Any, arguments: tuple[Any, ...], output: Any
) -> tuple[Any, list[SpikeCall]]:
    """Give a call to everybody who watches, one after the other; return its output and records."""
    calls = []
    for report in tuple(_reports):
        output, call = report(function, node, arguments, output)
        if call is not None:
            calls.append(call)
    return output, calls


def _with_context(function: type, forward: Any) -> Any:
    def run(ctx: Any, *arguments: Any, **named: Any) -> Any:
        output, _ = _reported(function, ctx, arguments, forward(ctx, *arguments, **named))
        return output

    return run


def _without_context(function: type, forward: Any, made: list[SpikeCall]) -> Any:
    def run(*arguments: Any, **named: Any) -> Any:
        output, made[:] = _reported(function, None, arguments, forward(*arguments, **named))
        return output

    return run


def _setting_up(setup: Any, made: list[SpikeCall]) -> Any:
    def run(ctx: Any, inputs: Any, output: Any) -> None:
        for call in made:
            call.node = ctx
        setup(ctx, inputs, output)

    return run
