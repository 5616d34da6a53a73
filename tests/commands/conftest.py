import inspect

import pytest

BASE = ("--data", "digits", "--model", "vgg-small", "--sparsity", "0.9")


@pytest.fixture
def run_flags():
    """The flags of a complete run."""
    return list(BASE)


@pytest.fixture
def record(monkeypatch):
    """Replace a function and return its calls, each checked against the real signature.

    `record(module, name, result)` -> list of the arguments by name; an exception as result is
    raised.
    """

    def replace(module, name, result=None):
        signature, calls = inspect.signature(getattr(module, name)), []

        def recorder(*args, **options):
            calls.append(signature.bind(*args, **options).arguments)
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(module, name, recorder)
        return calls

    return replace
