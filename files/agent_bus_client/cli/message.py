"""What commands say of messages beyond the shared words: the next commands, a failed ack."""

from __future__ import annotations

from agent_bus_client.errors import HubUnreachableError
from agent_bus_client.record import Record
from agent_bus_mcp.words import text

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus_client.errors import ClientError

WHY_BYTES = 200  # of why a page could not be filled or acked


class Commands(Record):
    """The next steps of an agent, as commands.

    Attributes:
        command: shows the mailbox in the same way once more.
    """

    agent: str
    command: str = ""
    is_narrow: bool = False

    def reply(self, message_id: str) -> str:
        """Return the command that answers a message."""
        return f'agent-bus reply --as {self.agent} {message_id} "..."'

    def answer(self, message_id: str) -> str:
        """Return the command that answers a question with one of its choices."""
        return f"agent-bus answer --as {self.agent} {message_id} CHOICE"

    def ack(self, message_ids: Sequence[str]) -> str:
        """Return the command that acks messages."""
        return f"agent-bus ack --as {self.agent} {' '.join(message_ids)}"

    def show(self, message_id: str) -> str:
        """Return the command that shows one message."""
        return f"agent-bus show {message_id}"

    def data(self, message_id: str) -> str:
        """Return the command that shows a message's data."""
        return f"agent-bus show {message_id} --json"

    def plain(self) -> str:
        """Return the command that shows all unread mail."""
        return f"agent-bus inbox --as {self.agent}"

    def everything(self) -> str:
        """Return the command that shows the same with all bodies."""
        return f"{self.command} --all"

    def add_everything(self) -> str:
        """Return the option for that."""
        return "add --all"

    def more(self, limit: int, cursor: str) -> str:
        """Return the command that shows the next page."""
        return f"{self.command} --limit {limit} --cursor {cursor}"


def not_acked(error: ClientError, command: str) -> str:
    """Return what became of an ack that failed; without an answer it may have counted."""
    if isinstance(error, HubUnreachableError) and error.sent:
        return f"not known whether acked: {why(error)}; doing it again does no harm: {command}"
    return f"not acked: {why(error)}; try again: {command}"


def why(error: ClientError) -> str:
    """Return what went wrong, as part of a line."""
    words, left = text.cut(text.line(str(error)), WHY_BYTES)
    return f"{words}..." if left else words
