"""Which statement answers for a page of tasks, and with what: the same on every store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agent_bus.core.task import TaskSlice

NEWEST: Final = 1 << 62
"""Above every time and every pk: where the first page begins."""


def chosen(wanted: TaskSlice) -> str:
    """The statement's name: `thread`, `open` (among which `fetched` chooses), `state` or `all`."""
    if wanted.thread is not None:
        return "thread"
    if wanted.fetched is not None:
        return "open"
    return "all" if wanted.state is None else "state"


def bindings(wanted: TaskSlice) -> dict[str, Any]:
    """Its parameters by name; each statement takes those that it has."""
    at, pk = wanted.before or (NEWEST, NEWEST)
    return {
        "owner": wanted.owner,
        "agent": wanted.agent,
        "state": wanted.state,
        "fetched": wanted.fetched,
        "thread": wanted.thread,
        "since": -1 if wanted.since is None else wanted.since,
        "at": at,
        "pk": pk,
        "limit": wanted.limit,
    }
