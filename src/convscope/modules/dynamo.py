"""PyTorch's compiler, whose import takes longer than PyTorch's, kept out where nothing compiles."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_NAMES = ("torch._dynamo", "torch._dynamo.utils")
_CACHE = "__dynamo_disable"
"""Attribute in which `torch._compile` keeps what `torch._dynamo.disable` made of a function."""


@contextmanager
def without_dynamo() -> Iterator[None]:
    """Replace `torch._dynamo` within, unless it has been imported.

    Two things would import it, and make 1.5 of 3 seconds: `torchvision.ops`, and many functions on
    the meta device, which only ask that they are not compiled. Whatever else is asked of it imports
    it.
    """
    if any(name in sys.modules for name in _NAMES):
        yield
        return
    disabled: list[Callable[..., Any]] = []

    def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        disabled.append(function)
        return function

    stubs = {name: ModuleType(name) for name in _NAMES}

    def remove() -> None:
        for name, stub in stubs.items():
            if sys.modules.get(name) is stub:
                del sys.modules[name]
        for function in disabled:
            vars(function).pop(_CACHE, None)

    def real(name: str, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        remove()
        return getattr(importlib.import_module(name), attribute)

    for name, stub in stubs.items():
        vars(stub)["__getattr__"] = lambda attribute, name=name: real(name, attribute)
    vars(stubs["torch._dynamo"])["disable"] = disable
    vars(stubs["torch._dynamo.utils"])["is_compile_supported"] = lambda device: real(
        "torch._dynamo.utils", "is_compile_supported"
    )(device)
    sys.modules.update(stubs)
    try:
        yield
    finally:
        remove()
