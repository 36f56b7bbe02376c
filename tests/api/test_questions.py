"""Questions with choices by the API: asked, answered once, shown with their message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.hub import Client, HubProcess, Reply

CHOICES = {"question": {"choices": ["yes", "no"]}}


def ask(hub: HubProcess, to: str | list[str] = "operator", **more: Any) -> str:
    fields = {"from": "alpha", "to": to, "data": CHOICES, **more}
    sent: str = hub.client("n1").send("Deploy now?", **fields)["id"]
    return sent


def answer(client: Client, question: str, choice: str, **more: Any) -> Reply:
    data = {"answer": {"choice": choice}}
    body = {"to": "alpha", "reply_to": question, "body": choice, "data": data, **more}
    return client.post("/api/send", body)


def test_an_answer_comes_back_as_a_reply_and_is_shown_with_its_question(hub: HubProcess) -> None:
    question = ask(hub)
    operator = hub.client(None)
    before = operator.get(f"/api/messages/{question}").body["question"]
    assert (before["state"], before["choices"]) == ("open", ["yes", "no"])
    reply = answer(operator, question, "yes")
    assert reply.status == 201, reply.body
    inbox = hub.client("n1").get(f"/api/inbox?agent=alpha&thread={question}").body["messages"]
    assert [(m["reply_to"], m["data"]) for m in inbox] == [
        (question, {"answer": {"choice": "yes"}})
    ]
    after = hub.client("n1").get(f"/api/messages/{question}").body["question"]
    assert after == {
        "choices": ["yes", "no"],
        "agents": ["operator"],
        "state": "answered",
        "choice": "yes",
        "answered_by": "operator",
        "answered_at": reply.body["created_at"],
        "answer_id": reply.body["id"],
    }


def test_a_second_answer_is_told_who_was_first(hub: HubProcess) -> None:
    question = ask(hub, to=["gamma", "operator"])
    first = answer(hub.client("n2"), question, "no")
    for client, choice in ((hub.client(None), "yes"), (hub.client("n2"), "no")):
        refused = answer(client, question, choice)
        assert (refused.status, refused.body["code"]) == (409, "already_answered")
        assert refused.body["answer_id"] == first.body["id"]
        assert (refused.body["agent"], refused.body["choice"]) == ("gamma", "no")


def test_of_many_answers_at_once_one_wins(hub: HubProcess) -> None:
    question = ask(hub, to=["gamma", "operator"])
    clients = [hub.client(None if n % 2 else "n2") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda client: answer(client, question, "yes"), clients))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 7


def test_an_answer_under_its_key_can_be_repeated(hub: HubProcess) -> None:
    question, operator = ask(hub), hub.client(None)
    body = {
        "to": "alpha",
        "reply_to": question,
        "body": "y",
        "data": {"answer": {"choice": "yes"}},
    }
    first, again = (operator.post("/api/send", body, Idempotency_Key="k-answer") for _ in "12")
    assert (first.status, again.status) == (201, 201)
    assert first.body["id"] == again.body["id"]


@pytest.mark.parametrize(
    ("node", "choice", "status", "code"),
    [(None, "perhaps", 422, "unknown_choice"), ("n1", "yes", 403, "forbidden")],
)
def test_a_wrong_answer_says_what_to_do(
    hub: HubProcess, node: str | None, choice: str, status: int, code: str
) -> None:
    question = ask(hub)
    refused = answer(hub.client(node), question, choice, **({"from": "alpha"} if node else {}))
    assert (refused.status, refused.body["code"]) == (status, code)
    shown = hub.client(None).get(f"/api/messages/{question}").body
    assert shown["question"]["state"] == "open"


def test_a_reply_without_a_choice_leaves_the_question_open(hub: HubProcess) -> None:
    question, operator = ask(hub), hub.client(None)
    operator.send("in which region?", to="alpha", reply_to=question)
    assert answer(operator, question, "no").status == 201


def test_choices_that_make_no_sense_are_refused(hub: HubProcess) -> None:
    body = {"from": "alpha", "to": "operator", "body": "?", "data": {"question": {"choices": []}}}
    refused = hub.client("n1").post("/api/send", body)
    assert (refused.status, refused.body["field"]) == (400, "data.question.choices")


def test_a_message_that_asks_nothing_says_so(hub: HubProcess) -> None:
    sent = hub.client("n1").send(to="gamma", data={"question": "what?"}, **{"from": "alpha"})
    shown = hub.client("n1").get(f"/api/messages/{sent['id']}").body
    assert shown["question"] is None
    assert shown["deliveries"][0]["ladder"] == []
