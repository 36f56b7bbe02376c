"""Requests that their clients drop by a second one.

Before 2026-07-28, a client of Streamable HTTP does not hang up when it wants no answer any more:
it posts `notifications/cancelled` with the request's id, and leaves the request's own connection
as it is. A waiting inbox must not go on then: it would fetch the next message for nobody. With
several hubs the second request may reach another one; there it finds nothing, and does nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


class Drops:
    """The requests under way that can be dropped.

    Several clients may use one id at once, as each counts from 0. All of theirs are dropped then,
    and one of them gets an empty page before its time.
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, list[_Open]] = {}

    @contextlib.contextmanager
    def droppable(self, key: Hashable) -> Iterator[Callable[[], bool]]:
        """While the block runs, a request under this key; what it yields tells of a drop."""
        one = _Open()
        same = self._open.setdefault(key, [])
        same.append(one)
        try:
            yield one.is_dropped
        finally:
            same.remove(one)
            if not same:
                self._open.pop(key, None)

    def drop(self, key: Hashable) -> None:
        """Drop the requests under this key, if there are any."""
        for one in self._open.get(key, ()):
            one.drop()


class _Open:
    def __init__(self) -> None:
        self._is_dropped = False

    def drop(self) -> None:
        self._is_dropped = True

    def is_dropped(self) -> bool:
        return self._is_dropped
