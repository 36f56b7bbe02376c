"""Tasks and messages as they are answered, in the forms of 1.0 and of 0.3.

What is made here first is 1.0's form; 0.3's has a `kind` in each object and other words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agent_bus.a2a.requests import OWN
from agent_bus.core import task as tasks
from agent_bus.core.model import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import Message
    from agent_bus.core.task import Task

Version = Literal["1.0", "0.3"]

SUBMITTED: Final = "TASK_STATE_SUBMITTED"
WORKING: Final = "TASK_STATE_WORKING"
STATES: Final[dict[str, str]] = {
    tasks.COMPLETED: "TASK_STATE_COMPLETED",
    tasks.FAILED: "TASK_STATE_FAILED",
    tasks.CANCELED: "TASK_STATE_CANCELED",
    tasks.REJECTED: "TASK_STATE_REJECTED",
}
NEVER: Final = frozenset({"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"})
"""States of A2A that no task of the bus is ever in."""
_WHY: Final[dict[str, str]] = {
    tasks.FAILED: "The message expired before the agent read it.",
    tasks.CANCELED: "The request was canceled.",
    tasks.REJECTED: "The agent has left the fleet.",
}


@dataclass(frozen=True, slots=True)
class View:
    """A task with what is shown of it: the turns between owner and agent, and the answer."""

    task: Task
    turns: Sequence[Message]
    answer: Message | None


def state(of: Task) -> str:
    """A2A's word for a task's state."""
    if of.is_open:
        return SUBMITTED if of.fetched_at is None else WORKING
    return STATES[of.state]


def task(view: View, *, history_length: int | None, with_answer: bool = True) -> dict[str, Any]:
    """A task in 1.0's form."""
    of = view.task
    status: dict[str, Any] = {"state": state(of), "timestamp": rfc3339(of.updated_at)}
    why = _WHY.get(of.state)
    if why is not None:
        status["message"] = {
            "messageId": f"{of.id}-{of.state}",
            "contextId": of.context_id,
            "taskId": of.id,
            "role": "ROLE_AGENT",
            "parts": [{"text": why}],
        }
    found: dict[str, Any] = {"id": of.id, "contextId": of.context_id, "status": status}
    if with_answer and view.answer is not None:
        found["artifacts"] = [_artifact(view.answer)]
    if history_length != 0:
        turns = view.turns if history_length is None else view.turns[-history_length:]
        found["history"] = [_turn(of, one) for one in turns]
    found["metadata"] = {
        OWN: {
            "agent": of.agent,
            "owner": of.owner,
            "thread_id": of.thread_id,
            "created_at": rfc3339(of.created_at),
            "fetched_at": rfc3339(of.fetched_at),
        }
    }
    return found


def older(of: dict[str, Any]) -> dict[str, Any]:
    """A task in 0.3's form, from 1.0's."""
    status = dict(of["status"])
    status["state"] = status["state"].removeprefix("TASK_STATE_").lower()
    if "message" in status:
        status["message"] = _older_message(status["message"])
    found = {"kind": "task", **of, "status": status}
    if "artifacts" in of:
        found["artifacts"] = [{**a, "parts": _older_parts(a["parts"])} for a in of["artifacts"]]
    if "history" in of:
        found["history"] = [_older_message(message) for message in of["history"]]
    return found


def _parts(of: Message) -> list[dict[str, Any]]:
    """A message's parts as 1.0 writes them."""
    found: list[dict[str, Any]] = [{"text": of.body}]
    if of.data_json is not None:
        found.append({"data": json.loads(of.data_json)})
    return found


def _turn(of: Task, message: Message) -> dict[str, Any]:
    is_owner = message.sender == of.owner
    is_first = message.id == of.id and of.client_id is not None
    return {
        "messageId": of.client_id if is_first else message.id,
        "contextId": of.context_id,
        "taskId": of.id,
        "role": "ROLE_USER" if is_owner else "ROLE_AGENT",
        "parts": _parts(message),
        "metadata": {
            OWN: {
                "id": message.id,
                "from_agent": message.sender,
                "created_at": rfc3339(message.created_at),
            }
        },
    }


def _artifact(answer: Message) -> dict[str, Any]:
    return {
        "artifactId": answer.id,
        "name": answer.subject or "answer",
        "parts": _parts(answer),
        "metadata": {OWN: {"id": answer.id, "from_agent": answer.sender}},
    }


def _older_message(of: dict[str, Any]) -> dict[str, Any]:
    role = "user" if of["role"] == "ROLE_USER" else "agent"
    return {"kind": "message", **of, "role": role, "parts": _older_parts(of["parts"])}


def _older_parts(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"kind": next(iter(part)), **part} for part in found]
