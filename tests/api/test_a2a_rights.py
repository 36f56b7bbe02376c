"""A2A where the operator's rules say who may write to whom, also when they change in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker, RefusedError, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import HubProcess

CLOSED = [{"from": ["delta"], "to": ["gamma"], "name": "closed"}]
NOT_ALLOWED = -32091


@pytest.fixture(autouse=True)
def free_again(hub: HubProcess) -> Iterator[None]:
    yield
    assert hub.enrol().status == 200


def ruled(hub: HubProcess, rights: list[dict[str, Any]]) -> None:
    assert hub.enrol(rights=rights).status == 200


@pytest.fixture
def alpha(hub: HubProcess) -> Asker:
    """Agent delta asks alpha."""
    return Asker(hub.client("n3"), "alpha")


def mail(hub: HubProcess, thread: str) -> list[dict[str, Any]]:
    query = f"/api/inbox?agent=alpha&thread={thread}&unread=0&peek=1"
    found: list[dict[str, Any]] = hub.client("n1").get(query).body["messages"]
    return found


def test_a_request_to_one_who_is_not_allowed_is_refused_by_both_bindings(
    hub: HubProcess, alpha: Asker
) -> None:
    ruled(hub, CLOSED)
    with pytest.raises(RefusedError, match="delta may not write to alpha") as refused:
        alpha.send("x")
    assert (refused.value.code, refused.value.reason) == (NOT_ALLOWED, "NOT_ALLOWED")
    assert refused.value.error["data"][0]["metadata"] == {"problem": "not_allowed"}
    body = {"message": {"messageId": "r1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}
    headers = {"A2A-Version": "1.0", "Content-Type": "application/json"}
    by_path = hub.client("n3").call("POST", "/a2a/alpha/message:send", body, headers)
    assert (by_path.status, by_path.body["error"]["status"]) == (403, "PERMISSION_DENIED")
    older = Asker(hub.client("n3"), "alpha", version="0.3")
    message = {
        "kind": "message",
        "messageId": "r2",
        "role": "user",
        "parts": [{"kind": "text", "text": "x"}],
    }
    with pytest.raises(RefusedError, match="delta may not write to alpha"):
        older.call("message/send", {"message": message})
    assert Asker(hub.client("n3"), "gamma").send("allowed")["id"]


def test_cards_are_shown_of_those_whom_one_may_write_to(hub: HubProcess) -> None:
    ruled(hub, [*CLOSED, {"from": ["beta"], "to": []}])

    def card(node: str | None, agent: str, speaker: str | None = None) -> tuple[int, Any]:
        headers = {} if speaker is None else {"Agent-Bus-Agent": speaker}
        path = f"/a2a/{agent}/.well-known/agent-card.json"
        answer = hub.client(node).call("GET", path, None, headers)
        return answer.status, answer.body.get("code")

    assert card("n3", "gamma") == (200, None)
    assert card("n3", "delta") == (200, None)
    assert card("n3", "alpha") == (403, "not_allowed")
    assert card("n1", "gamma") == (200, None), "alpha of the same node may"
    assert card("n1", "gamma", "beta") == (403, "not_allowed")
    assert card(None, "alpha") == (200, None)
    assert card("n3", "nobody") == (404, "unknown_agent")


def test_a_task_from_before_a_rule_is_read_and_canceled_but_not_gone_on_with(
    hub: HubProcess, alpha: Asker
) -> None:
    made = alpha.send("long work")
    ruled(hub, CLOSED)
    assert alpha.get(made["id"])["status"]["state"] == "TASK_STATE_SUBMITTED"
    (listed,) = [one for one in alpha.call("ListTasks", {})["tasks"] if one["id"] == made["id"]]
    assert listed["status"]["state"] == "TASK_STATE_SUBMITTED"
    with pytest.raises(RefusedError) as refused:
        alpha.send("and more", taskId=made["id"])
    assert refused.value.code == NOT_ALLOWED
    with pytest.raises(RefusedError) as refused:
        alpha.send("and then", contextId=made["contextId"])
    assert refused.value.code == NOT_ALLOWED
    canceled = alpha.call("CancelTask", {"id": made["id"]})
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    assert [one["body"] for one in mail(hub, made["contextId"])] == [
        "long work",
        "This request was canceled by its sender. No answer is needed.",
    ]


def test_a_request_that_comes_again_after_a_rule_is_answered_as_at_first(
    hub: HubProcess, alpha: Asker
) -> None:
    made = alpha.send("once", messageId="once-and-again")
    ruled(hub, CLOSED)
    assert alpha.send("once", messageId="once-and-again")["id"] == made["id"]
    assert len(mail(hub, made["contextId"])) == 1


def test_an_answer_needs_the_right_of_its_own_sender(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("well?")
    ruled(hub, [{"from": ["alpha"], "to": []}])
    answer = {"from": "alpha", "to": "delta", "body": "42", "reply_to": made["id"]}
    refused = hub.client("n1").post("/api/send", answer)
    assert (refused.status, refused.body["code"]) == (403, "not_allowed")
    assert alpha.get(made["id"])["status"]["state"] == "TASK_STATE_SUBMITTED"
    ruled(hub, [])
    assert hub.client("n1").post("/api/send", answer).status == 201
    done = alpha.get(made["id"])
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert text(done["artifacts"][0]) == "42"
