"""Facts that hubs tell each other as they stand in `change`: `["told", kind, {field: value}]`.

A hub of another release may tell what this one does not know: unknown kinds are passed over, and
so are unknown fields.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Final

from agent_bus.store import cluster

TOLD: Final = "told"
_CLASSES: Final[dict[str, type[Any]]] = {
    one.__name__: one for one in typing.get_args(cluster.Fact)
}


def encoded(fact: cluster.Fact) -> list[Any]:
    """A fact as a JSON list."""
    fields = {one.name: getattr(fact, one.name) for one in dataclasses.fields(fact)}
    return [TOLD, type(fact).__name__, fields]


def decoded(words: list[Any]) -> cluster.Fact | None:
    """The fact that a JSON list tells; None when this release does not know it."""
    _, kind, fields = words
    found = _CLASSES.get(kind)
    if found is None:
        return None
    known = {one.name for one in dataclasses.fields(found)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name in known
    }
    try:
        fact: cluster.Fact = found(**values)
    except TypeError:  # a field that this release needs is missing
        return None
    return fact
