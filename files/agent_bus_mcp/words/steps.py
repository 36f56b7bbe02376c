"""What a reader can do next: each way to read mail names its own commands or tools."""

from __future__ import annotations

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object


class Steps(Protocol):
    """The next steps after a page, each as a few words without a full stop."""

    @property
    def agent(self) -> str:
        """Whose mail it is."""

    @property
    def is_narrow(self) -> bool:
        """Whether it was not asked for all that is unread."""

    def reply(self, message_id: str) -> str:
        """Return how to answer a message."""

    def answer(self, message_id: str) -> str:
        """Return how to answer a question with one of its choices."""

    def ack(self, message_ids: Sequence[str]) -> str:
        """Return how to say that messages have been processed."""

    def show(self, message_id: str) -> str:
        """Return how to see the rest of a long body."""

    def data(self, message_id: str) -> str:
        """Return how to see what a message has for programs."""

    def plain(self) -> str:
        """Return how to see all that is unread."""

    def everything(self) -> str:
        """Return how to see the same with what another turn has in hand."""

    def add_everything(self) -> str:
        """Return what to add to the next step for that."""

    def more(self, limit: int, cursor: str) -> str:
        """Return how to see the next page."""
