"""What is said about one message: its head and its body."""

from __future__ import annotations

from agent_bus_mcp.words import text
from agent_bus_mcp.words.terms import Priority, Stamp

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any

    from agent_bus_mcp.words.steps import Steps

FRAME_BYTES = 480  # most that a message needs beside its head and body: marks and next steps
MAX_SUBJECT = 200  # characters; the hub refuses more


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


def body_lines(message: dict[str, Any], mark: str, steps: Steps, *, limit: int) -> list[str]:
    """Return the body between its marks, cut at `limit` bytes, with the way to the rest."""
    body, left = text.cut(text.escape(message["body"]), limit)
    lines = [f"<<<{mark}", body, f"{mark}>>>"] if body or not left else []
    if left:
        lines.append(f"  {left} bytes more: {steps.show(message['id'])}")
    data = message.get("data")
    choices = None
    if data is not None and "question" in data:
        from agent_bus_mcp.words.question import choices_of, quoted

        choices = choices_of(data)
    if choices:
        lines.append(f"  asks you to choose {quoted(choices)}: {steps.answer(message['id'])}")
    elif data is not None:
        lines.append(f"  has data: {steps.data(message['id'])}")
    return lines


def recipients(message: dict[str, Any]) -> str:
    """Return the recipients that the hub shows us; those that have not read it are marked."""
    return ", ".join(
        text.line(delivery["agent"]) + ("" if delivery.get(Stamp.READ) else " (unread)")
        for delivery in message["deliveries"]
    )


def answering(request: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Return a send's body as an answer to the sender of another message, with its subject."""
    answer = {**request, "to": original["from_agent"]}
    subject = original.get("subject")
    if subject and not answer.get("subject"):
        re = subject if subject.startswith("Re: ") else f"Re: {subject}"
        answer["subject"] = re[:MAX_SUBJECT]
    return answer
