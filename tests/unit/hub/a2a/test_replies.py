from __future__ import annotations

from typing import Any

import pytest

from agent_bus.a2a import replies
from agent_bus.a2a.replies import View
from agent_bus.core.model import AgentName, Message, MessageId, Seq
from agent_bus.core.task import Task

ASKER, AGENT = AgentName("asker"), AgentName("agent")


def message(name: str, sender: AgentName, **more: Any) -> Message:
    fields: dict[str, Any] = {
        "id": MessageId(name),
        "first_seq": Seq(1),
        "thread_id": MessageId("question"),
        "sender": sender,
        "subject": None,
        "body": name,
        "data_json": None,
        "rank": 2,
        "reply_to": None,
        "depth": 0,
        "created_at": 1000,
        "expires_at": None,
    }
    return Message(**{**fields, **more})


def task(**more: Any) -> Task:
    fields: dict[str, Any] = {
        "pk": Seq(1),
        "id": MessageId("question"),
        "thread_id": MessageId("question"),
        "owner": ASKER,
        "agent": AGENT,
        "client_id": "theirs",
        "context_name": None,
        "state": "open",
        "created_at": 1000,
        "updated_at": 2000,
        "answer_id": None,
        "fetched_at": None,
    }
    return Task(**{**fields, **more})


QUESTION = message("question", ASKER)
ANSWER = message("answer", AGENT, data_json='{"k":1}', subject="Re")
DONE = View(task(state="completed", answer_id="answer"), (QUESTION, ANSWER), ANSWER)


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "TASK_STATE_SUBMITTED"),
        ({"fetched_at": 1500}, "TASK_STATE_WORKING"),
        ({"state": "completed", "fetched_at": 1500}, "TASK_STATE_COMPLETED"),
        ({"state": "failed"}, "TASK_STATE_FAILED"),
        ({"state": "canceled"}, "TASK_STATE_CANCELED"),
        ({"state": "rejected"}, "TASK_STATE_REJECTED"),
    ],
)
def test_each_state_has_its_word_and_bad_ends_a_reason(more: dict[str, Any], state: str) -> None:
    found = replies.task(View(task(**more), (QUESTION,), None), history_length=None)
    assert found["status"]["state"] == state
    assert ("message" in found["status"]) == (more.get("state") in replies._WHY)
    assert replies.older(found)["status"]["state"] == state.rpartition("_")[2].lower()


def test_the_answer_is_the_artifact() -> None:
    (artifact,) = replies.task(DONE, history_length=None)["artifacts"]
    assert (artifact["artifactId"], artifact["name"]) == ("answer", "Re")
    assert artifact["parts"] == [{"text": "answer"}, {"data": {"k": 1}}]
    assert "artifacts" not in replies.task(DONE, history_length=None, with_answer=False)


def test_a_turn_has_the_clients_own_id_and_its_role() -> None:
    history = replies.task(DONE, history_length=None)["history"]
    assert [(one["messageId"], one["role"]) for one in history] == [
        ("theirs", "ROLE_USER"),
        ("answer", "ROLE_AGENT"),
    ]


@pytest.mark.parametrize(("length", "shown"), [(None, 2), (1, 1), (9, 2)])
def test_history_is_its_end(length: int | None, shown: int) -> None:
    history = replies.task(DONE, history_length=length)["history"]
    assert [one["parts"][0]["text"] for one in history] == ["question", "answer"][-shown:]


def test_no_history_is_no_field() -> None:
    assert "history" not in replies.task(DONE, history_length=0)


def test_0_3_names_every_kind() -> None:
    found = replies.older(replies.task(DONE, history_length=None))
    assert found["kind"] == "task"
    assert [one["kind"] for one in found["history"]] == ["message"] * 2
    assert [one["role"] for one in found["history"]] == ["user", "agent"]
    assert [one["kind"] for one in found["artifacts"][0]["parts"]] == ["text", "data"]
