"""All SQL of a package, by name: the constants of its modules that begin like a statement."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

STATEMENT = re.compile(r"\(?(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def statements(package: ModuleType) -> dict[str, str]:
    """Module and name -> SQL, of all public constants below a package."""
    return dict(_constants(package))


def _constants(package: ModuleType) -> Iterator[tuple[str, str]]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        loaded = importlib.import_module(module.name)
        short = module.name.rpartition(".")[2]
        for name, value in vars(loaded).items():
            if name.startswith("_"):
                continue
            for key, text in _flattened(value):
                if STATEMENT.match(text):
                    yield f"{short}.{name}{key}", text


def _flattened(value: object) -> Iterator[tuple[str, str]]:
    """Strings in a constant, with where they stand in it."""
    if isinstance(value, str):
        yield "", value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from ((f"[{key}]{rest}", text) for rest, text in _flattened(one))
    elif isinstance(value, tuple):
        for number, one in enumerate(value):
            yield from ((f"[{number}]{rest}", text) for rest, text in _flattened(one))
