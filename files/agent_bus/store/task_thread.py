"""A task's thread, put together from pages of history: what every store does alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.slices import HistorySlice
from agent_bus.core.task import TaskThread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_bus.core.model import Delivery, Message, MessageId
    from agent_bus.core.task import Task

    Kept = tuple[Message, list[Delivery]]


def slices(of: Task, *, limit: int) -> list[HistorySlice]:
    """The pages of history to read, live and archived."""
    return [
        HistorySlice(limit=limit, thread=of.thread_id, archived=archived, after=of.pk - 1)
        for archived in (False, True)
    ]


def joined(
    of: Task, found: Iterable[Kept], answer: Kept | None, in_thread: set[MessageId]
) -> TaskThread:
    """The thread; `answer` is the message that completed the task, if no page has it."""
    both = [*found] if answer is None else [*found, answer]
    return TaskThread(sorted(both, key=lambda one: one[0].first_seq), in_thread - {of.id})
