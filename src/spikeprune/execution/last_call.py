"""The last call of a model in training: its owner's own data, in the form that the model takes."""

from typing import Any, Self, final

from torch import nn


@final
class LastCall:
    """Remembers the arguments of the last forward in training mode; a copy remembers nothing.

    Attributes:
        arguments: positional and named ones; None before the first call.
    """

    def __init__(self) -> None:
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._handle: Any = None

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """Return the record of a model's calls from now on."""
        record = cls()
        record._handle = model.register_forward_pre_hook(record, with_kwargs=True)
        return record

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note a call in training mode."""
        if model.training and self._handle is not None:
            self.arguments = args, kwargs

    def close(self) -> None:
        """Remove the hook; the last arguments stay."""
        if self._handle is not None:
            self._handle.remove()

    def __deepcopy__(self, memo: dict[int, Any]) -> "LastCall":
        return LastCall()

    def __reduce__(self) -> tuple[type["LastCall"], tuple[()]]:
        return LastCall, ()
