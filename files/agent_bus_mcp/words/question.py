"""Questions with choices: what a message's data says of them, and how they are told."""

from __future__ import annotations

from agent_bus_mcp.words import text

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any, Optional

MOST_CHOICES_BYTES = 160  # of what a list of mail says of them; `show` has the rest


def choices_of(data: Any) -> list[str]:  # noqa: ANN401 - decoded JSON
    """Return the choices of a question; none for what is no question."""
    asked = data.get("question") if isinstance(data, dict) else None
    choices = asked.get("choices") if isinstance(asked, dict) else None
    return [str(one) for one in choices] if isinstance(choices, list) else []


def choice_of(data: Any) -> Optional[str]:  # noqa: ANN401 - decoded JSON
    """Return the choice of an answer; None for any other message."""
    answer = data.get("answer") if isinstance(data, dict) else None
    choice = answer.get("choice") if isinstance(answer, dict) else None
    return choice if isinstance(choice, str) else None


def asking(choices: list[str]) -> dict[str, Any]:
    """Return the data of a question."""
    return {"question": {"choices": choices}}


def answering(choice: str) -> dict[str, Any]:
    """Return the data of an answer."""
    return {"answer": {"choice": choice}}


def quoted(choices: list[str]) -> str:
    """Return choices for a line, as long as there is room: they are another agent's words."""
    words, left = text.cut(text.line(", ".join(f'"{one}"' for one in choices)), MOST_CHOICES_BYTES)
    return f"{words}..." if left else words


def state_words(question: dict[str, Any]) -> str:
    """Return how a question is, for the way of its message."""
    if question["state"] == "answered":
        agent, choice = text.line(question["answered_by"]), text.line(question["choice"])
        return f'question: {agent} answered "{choice}" at {question["answered_at"]}'
    who = " or ".join(map(text.line, question["agents"]))
    if question["state"] == "expired":
        return f"question: expired without an answer of {who}"
    return f"question: open; {who} may answer {quoted(question['choices'])}"
