"""What is said about one message: its head, its body, and an ack of it that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus_client.api import Priority
from agent_bus_client.cli import text
from agent_bus_client.errors import HubUnreachableError

if TYPE_CHECKING:
    from agent_bus_client.errors import ClientError

WHY_BYTES = 200  # of why a page could not be filled or acked
FRAME_BYTES = 320  # most that a message needs beside its head and body: marks and commands


def head_line(message: dict[str, Any], now: float) -> str:
    """Return id, sender, priority, age, subject and thread as one line."""
    parts = [f"{message['id']} from {text.line(message['from_agent'])}"]
    if message["priority"] != Priority.NORMAL:
        parts.append(f"priority {message['priority']}")
    parts.append(text.ago(message["created_at"], now))
    if message.get("subject"):
        subject, left = text.cut(text.line(message["subject"]), text.SUBJECT_BYTES)
        parts.append(f'subject "{subject}{"..." if left else ""}"')
    if message.get("reply_to"):
        parts.append(f"in reply to {message['reply_to']}")
    if message.get("fetch_count"):
        parts.append(f"shown {message['fetch_count']} times before")
    return ", ".join(parts)


def body_lines(message: dict[str, Any], mark: str, *, limit: int) -> list[str]:
    """Return the body between its marks, cut at `limit` bytes, with the command for the rest."""
    body, left = text.cut(text.escape(message["body"]), limit)
    lines = [f"<<<{mark}", body, f"{mark}>>>"] if body or not left else []
    if left:
        lines.append(f"  {left} bytes more: agent-bus show {message['id']}")
    if message.get("data") is not None:
        lines.append(f"  has data: agent-bus show {message['id']} --json")
    return lines


def not_acked(error: ClientError, command: str) -> str:
    """Return what became of an ack that failed; without an answer it may have counted."""
    if isinstance(error, HubUnreachableError) and error.sent:
        return f"not known whether acked: {why(error)}; doing it again does no harm: {command}"
    return f"not acked: {why(error)}; try again: {command}"


def why(error: ClientError) -> str:
    """Return what went wrong, as part of a line."""
    words, left = text.cut(text.line(str(error)), WHY_BYTES)
    return f"{words}..." if left else words
