"""The next steps of an agent as calls of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tools(NamedTuple):
    """The next steps; see `words/steps.py: Steps`.

    Attributes:
        thread: the page was asked for this thread only.
    """

    agent: str
    is_narrow: bool = False
    everything_shown: bool = False
    thread: Optional[str] = None

    def reply(self, message_id: str) -> str:
        """Return how to answer a message."""
        return f"tool reply with id {message_id}"

    def answer(self, message_id: str) -> str:
        """Return how to answer a question with one of its choices."""
        return f"tool answer with id {message_id} and choice"

    def ack(self, message_ids: Sequence[str]) -> str:
        """Return how to say that messages have been processed."""
        return f"tool ack with ids {' '.join(message_ids)}"

    def show(self, message_id: str) -> str:
        """Return how to see the rest of a long body."""
        return f"tool thread with id {message_id} and part 1"

    def data(self, message_id: str) -> str:
        """Return how to see what a message has for programs."""
        return f"tool thread with id {message_id} and part 1"

    def plain(self) -> str:
        """Return how to see all that is unread."""
        return "tool inbox"

    def everything(self) -> str:
        """Return how to see the same with what another turn has in hand."""
        return f"tool inbox with {self._same('all true')}"

    def add_everything(self) -> str:
        """Return what to add for that."""
        return "add all true"

    def more(self, limit: int, cursor: str) -> str:
        """Return how to see the next page."""
        return f"tool inbox with {self._same(f'limit {limit}', f'cursor {cursor}')}"

    def _same(self, *more: str) -> str:
        given = [f"thread {self.thread}"] if self.thread else []
        if self.everything_shown and "all true" not in more:
            given.append("all true")
        return ", ".join([*given, *more])
