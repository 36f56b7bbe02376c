"""A2A 1.0 and 0.3 at a real hub: tasks by JSON-RPC, and what stands on the bus for them."""

from __future__ import annotations

import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker, RefusedError, text
from tests.support.hub import ADMIN, roster, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess


@pytest.fixture
def alpha(hub: HubProcess) -> Asker:
    """Agent delta asks alpha, by 1.0's JSON-RPC."""
    return Asker(hub.client("n3"), "alpha")


def mail(hub: HubProcess, of: str, thread: str, *, node: str = "n1") -> list[dict[str, Any]]:
    """An agent's mail in a thread, read ones too; looking changes nothing."""
    query = f"/api/inbox?agent={of}&thread={thread}&unread=0&peek=1"
    page: list[dict[str, Any]] = hub.client(node).get(query).body["messages"]
    return page


def metrics(hub: HubProcess) -> str:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{hub.port}/metrics", headers=headers)
    with urllib.request.urlopen(asked, timeout=patience()) as answer:
        found: str = answer.read().decode()
    return found


def reply(hub: HubProcess, to: str, body: str = "42", **more: Any) -> Any:
    """Alpha's reply to delta."""
    fields = {"from": "alpha", "to": "delta", "reply_to": to, **more}
    return hub.client("n1").send(body, **fields)


def test_a_request_is_a_message_and_its_reply_completes_the_task(
    hub: HubProcess, alpha: Asker
) -> None:
    made = alpha.send("what is 6 * 7?")
    assert made["status"]["state"] == "TASK_STATE_SUBMITTED"
    query = f"/api/inbox?agent=alpha&thread={made['contextId']}"
    (mail,) = hub.client("n1").get(query).body["messages"]
    assert (mail["from_agent"], mail["body"], mail["id"]) == (
        "delta",
        "what is 6 * 7?",
        made["id"],
    )
    assert alpha.get(made["id"])["status"]["state"] == "TASK_STATE_WORKING"
    reply(hub, mail["id"], data={"sum": 42})
    done = alpha.get(made["id"])
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    (artifact,) = done["artifacts"]
    assert artifact["parts"] == [{"text": "42"}, {"data": {"sum": 42}}]
    assert [(one["role"], text(one)) for one in done["history"]] == [
        ("ROLE_USER", "what is 6 * 7?"),
        ("ROLE_AGENT", "42"),
    ]


def test_parts_become_body_and_data(hub: HubProcess, alpha: Asker) -> None:
    parts = [{"text": "first"}, {"data": {"k": [1]}}, {"text": "second"}]
    options = {"subject": "s", "priority": "urgent", "expires_in_s": 60}
    made = alpha.send("", parts=parts, metadata={"agent-bus": options, "other": 1})
    (found,) = mail(hub, "alpha", made["contextId"])
    assert (found["body"], found["data"]) == ("first\n\nsecond", {"k": [1]})
    assert (found["subject"], found["priority"]) == ("s", "urgent")
    assert found["expires_at"] is not None
    (turn,) = alpha.get(made["id"])["history"]
    assert turn["parts"] == [{"text": "first\n\nsecond"}, {"data": {"k": [1]}}]
    listed = alpha.send("", parts=[{"data": 1}, {"data": [2]}])
    (found,) = mail(hub, "alpha", listed["contextId"])
    assert found["data"] == {"parts": [1, [2]]}


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        ({"parts": [{"url": "file:///etc/passwd"}]}, "CONTENT_TYPE_NOT_SUPPORTED", "parts.0"),
        ({"parts": [{"raw": "eA=="}]}, "CONTENT_TYPE_NOT_SUPPORTED", "parts.0"),
        ({"parts": [{}]}, "INVALID_PARAMS", "parts.0"),
        ({"parts": []}, "INVALID_PARAMS", "parts"),
        ({"parts": [{"text": ""}]}, "INVALID_PARAMS", "parts"),
        ({"parts": [{"text": "a\0b"}]}, "INVALID_PARAMS", "parts"),
        ({"messageId": ""}, "INVALID_PARAMS", "messageId"),
        ({"messageId": "a\nb"}, "INVALID_PARAMS", "messageId"),
        ({"role": "ROLE_AGENT"}, "INVALID_PARAMS", "role"),
        ({"metadata": {"agent-bus": {"subjct": "s"}}}, "INVALID_PARAMS", "subjct"),
        ({"metadata": {"agent-bus": {"subject": "a\nb"}}}, "INVALID_PARAMS", "subject"),
        ({"contextId": "a\0b"}, "INVALID_PARAMS", "contextId"),
        ({"contextId": "x" * 256}, "INVALID_PARAMS", "contextId"),
        ({"taskId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "TASK_NOT_FOUND", None),
        ({"taskId": "no such\u2028task"}, "INVALID_PARAMS", "taskId"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    alpha: Asker, message: dict[str, Any], reason: str, field: str | None
) -> None:
    with pytest.raises(RefusedError) as refused:
        alpha.send("x", **message)
    assert refused.value.reason == reason
    if field is not None:
        (violation,) = refused.value.error["data"][1]["fieldViolations"]
        assert field in violation["field"]


def test_a_push_notification_is_refused(alpha: Asker) -> None:
    message = {"messageId": "push", "role": "ROLE_USER", "parts": [{"text": "x"}]}
    configuration = {"taskPushNotificationConfig": {"url": "http://127.0.0.1:9/"}}
    with pytest.raises(RefusedError) as refused:
        alpha.call("SendMessage", {"message": message, "configuration": configuration})
    assert refused.value.code == -32003


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("SendStreamingMessage", -32004),
        ("SubscribeToTask", -32004),
        ("CreateTaskPushNotificationConfig", -32003),
        ("GetTaskPushNotificationConfig", -32003),
        ("ListTaskPushNotificationConfigs", -32003),
        ("DeleteTaskPushNotificationConfig", -32003),
        ("GetExtendedAgentCard", -32004),
        ("message/send", -32601),
        ("toString", -32601),
    ],
)
def test_what_the_card_does_not_offer_is_refused_in_the_protocols_words(
    alpha: Asker, method: str, code: int
) -> None:
    with pytest.raises(RefusedError) as refused:
        alpha.call(method, {})
    assert refused.value.code == code


def test_the_same_message_id_is_stored_once(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("once", messageId="the-id")
    again = alpha.send("once", messageId="the-id")
    assert again["id"] == made["id"]
    assert len(mail(hub, "alpha", made["contextId"])) == 1
    with pytest.raises(RefusedError) as refused:
        alpha.send("twice", messageId="the-id")
    assert "messageId" in refused.value.error["message"]
    assert refused.value.error["data"][0]["metadata"]["problem"] == "idempotency_conflict"
    other = Asker(alpha.client, "gamma").send("once", messageId="the-id")
    assert other["id"] != made["id"], "another agent's"
    also = Asker(hub.client("n2"), "alpha").send("once", messageId="the-id")
    assert also["id"] != made["id"], "another caller's"


def test_a_context_is_a_thread_and_may_have_several_tasks(hub: HubProcess, alpha: Asker) -> None:
    first = alpha.send("one")
    second = alpha.send("two", contextId=first["contextId"])
    assert second["contextId"] == first["contextId"]
    assert [one["body"] for one in mail(hub, "alpha", first["contextId"])] == ["one", "two"]
    reply(hub, second["id"], "to two")
    assert alpha.get(first["id"])["status"]["state"] == "TASK_STATE_SUBMITTED"
    assert [text(one) for one in alpha.get(first["id"])["history"]] == ["one"]
    assert [text(one) for one in alpha.get(second["id"])["history"]] == ["two", "to two"]


def test_a_message_may_add_to_an_open_task(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("one")
    added = alpha.send("more", taskId=made["id"], messageId="more")
    assert added["id"] == made["id"]
    assert alpha.send("more", taskId=made["id"], messageId="more")["id"] == made["id"]
    assert [text(one) for one in added["history"]] == ["one", "more"]
    with pytest.raises(RefusedError) as refused:
        alpha.send("x", taskId=made["id"], contextId="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert refused.value.code == -32602
    reply(hub, mail(hub, "alpha", made["contextId"])[1]["id"])
    assert alpha.get(made["id"])["status"]["state"] == "TASK_STATE_COMPLETED"
    with pytest.raises(RefusedError) as refused:
        alpha.send("too late", taskId=made["id"])
    assert refused.value.code == -32004
    assert "contextId" in refused.value.error["message"]


def test_a_send_waits_for_the_answer_and_not_much_longer(hub: HubProcess, alpha: Asker) -> None:
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(alpha.send("quick?", waits=True, messageId="quick"))
    )
    asking.start()
    client = hub.client("n1")
    found: list[dict[str, Any]] = []

    def has_come() -> bool:
        page = client.get("/api/inbox?agent=alpha&limit=500").body["messages"]
        found[:] = [one for one in page if one["body"] == "quick?"]
        return bool(found)

    wait_until(has_come, "the question is there")
    reply(hub, found[0]["id"], "quick!")
    asking.join()
    assert [text(one) for one in answers[0]["artifacts"]] == ["quick!"]
    nobody = alpha.send("anybody?", waits=True)
    assert nobody["status"]["state"] == "TASK_STATE_SUBMITTED", "it gave up waiting"


def test_showing_an_answer_to_its_owner_marks_it_as_read(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("read me")
    reply(hub, made["id"])
    by_admin = Asker(hub.client(None), "alpha").get(made["id"])
    assert by_admin["status"]["state"] == "TASK_STATE_COMPLETED"
    (answer,) = mail(hub, "delta", made["contextId"], node="n3")
    assert answer["read_at"] is None
    alpha.call("ListTasks", {"contextId": made["contextId"]})
    (answer,) = mail(hub, "delta", made["contextId"], node="n3")
    assert answer["read_at"] is None, "the list shows no answers"
    alpha.get(made["id"])
    (answer,) = mail(hub, "delta", made["contextId"], node="n3")
    assert answer["read_at"] is not None
    assert answer["fetched_at"] is not None


def test_another_agent_of_the_token_reads_nothing_in_the_owners_place(hub: HubProcess) -> None:
    client = hub.client("n1")
    owner, other = (Asker(client, "delta", speaks_for=name) for name in ("alpha", "beta"))
    made = owner.send("for alpha")
    answer = {"from": "delta", "to": "alpha", "reply_to": made["id"]}
    hub.client("n3").send("done", **answer)
    assert other.get(made["id"])["status"]["state"] == "TASK_STATE_COMPLETED"
    (kept,) = mail(hub, "alpha", made["contextId"])
    assert (kept["read_at"], kept["fetched_at"]) == (None, None)
    with pytest.raises(RefusedError) as refused:
        Asker(client, "delta", speaks_for="gamma").get(made["id"])
    assert refused.value.code == -32091
    owner.get(made["id"])
    (kept,) = mail(hub, "alpha", made["contextId"])
    assert kept["read_at"] is not None


def test_a_second_answer_is_history(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("tell me")
    reply(hub, made["id"], "this")
    reply(hub, made["id"], "no, that")
    done = alpha.get(made["id"])
    assert [text(one) for one in done["artifacts"]] == ["this"]
    assert [text(one) for one in done["history"]] == ["tell me", "this", "no, that"]
    assert [text(one) for one in alpha.get(made["id"], historyLength=1)["history"]] == ["no, that"]
    assert "history" not in alpha.get(made["id"], historyLength=0)


def test_what_agents_say_among_themselves_is_not_shown(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("ask around")
    aside = {"from": "alpha", "to": "beta", "reply_to": made["id"]}
    hub.client("n1").send("what do you think of delta?", **aside)
    assert [text(one) for one in alpha.get(made["id"])["history"]] == ["ask around"]


def test_a_cancel_ends_the_task_and_tells_the_agent_once(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("do it")
    canceled = alpha.call("CancelTask", {"id": made["id"]})
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    with pytest.raises(RefusedError) as refused:
        alpha.call("CancelTask", {"id": made["id"]})
    assert (refused.value.code, refused.value.reason) == (-32002, "TASK_NOT_CANCELABLE")
    found = mail(hub, "alpha", made["contextId"])
    assert [one["subject"] for one in found] == [None, "Canceled"]
    assert found[1]["reply_to"] == made["id"]
    reply(hub, made["id"], "done anyway")
    late = alpha.get(made["id"])
    assert late["status"]["state"] == "TASK_STATE_CANCELED"
    assert "artifacts" not in late
    assert text(late["history"][-1]) == "done anyway"


def test_a_thread_that_is_too_deep_can_still_be_canceled(tmp_path: Path) -> None:
    with running(tmp_path, hop_limit=2) as hub:
        alpha = Asker(hub.client("n3"), "alpha")
        context = alpha.send("one")["contextId"]
        alpha.send("two", contextId=context)
        third = alpha.send("three", contextId=context)
        with pytest.raises(RefusedError) as refused:
            alpha.send("four", contextId=context)
        assert refused.value.reason == "THREAD_BUDGET_EXHAUSTED"
        canceled = alpha.call("CancelTask", {"id": third["id"]})
        assert canceled["status"]["state"] == "TASK_STATE_CANCELED"


def test_others_do_not_see_a_task(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("secret")
    others = [
        Asker(hub.client("n2"), "alpha"),
        Asker(hub.client("n1"), "alpha", speaks_for="alpha"),
        Asker(hub.client("n3"), "beta"),
    ]
    for other in others:
        for method in ("GetTask", "CancelTask"):
            with pytest.raises(RefusedError) as refused:
                other.call(method, {"id": made["id"]})
            assert (refused.value.code, refused.value.reason) == (-32001, "TASK_NOT_FOUND")
    assert Asker(hub.client(None), "alpha").get(made["id"])["id"] == made["id"]
    assert Asker(hub.client("n2"), "alpha").call("ListTasks")["totalSize"] == len(
        Asker(hub.client("n2"), "alpha").call("ListTasks", {"pageSize": 100})["tasks"]
    )


def test_a_token_of_several_agents_says_who_asks(hub: HubProcess) -> None:
    client = hub.client("n1")
    with pytest.raises(RefusedError) as refused:
        Asker(client, "gamma").send("x")
    assert "alpha, beta" in refused.value.error["message"]
    with pytest.raises(RefusedError) as refused:
        Asker(client, "gamma", speaks_for="delta").send("x")
    assert refused.value.code == -32091
    made = Asker(client, "gamma", speaks_for="beta").send("x")
    assert made["metadata"]["agent-bus"]["owner"] == "beta"
    assert Asker(client, "gamma", speaks_for="alpha").get(made["id"])["id"] == made["id"]


def test_the_operator_asks_and_is_asked(hub: HubProcess) -> None:
    admin = hub.client(None)
    made = Asker(admin, "alpha").send("status?")
    assert made["metadata"]["agent-bus"]["owner"] == "operator"
    hub.client("n1").send("fine", **{"from": "alpha", "to": "operator", "reply_to": made["id"]})
    assert Asker(admin, "alpha").get(made["id"])["status"]["state"] == "TASK_STATE_COMPLETED"
    delta = Asker(hub.client("n3"), "operator")
    question = delta.send("may I?")
    admin.send("yes", to="delta", reply_to=question["id"])
    assert text(delta.get(question["id"])["artifacts"][0]) == "yes"


def test_tasks_are_listed_in_pages(hub: HubProcess) -> None:
    gamma = Asker(hub.client("n3"), "gamma")
    made = [gamma.send(f"task {n}")["id"] for n in range(5)]
    first = gamma.call("ListTasks", {"pageSize": 2})
    assert [one["id"] for one in first["tasks"]] == [made[4], made[3]]
    assert first["totalSize"] >= 5
    assert all("artifacts" not in one and "history" not in one for one in first["tasks"])
    whole = gamma.call("ListTasks", {"pageSize": 100, "includeArtifacts": True})
    assert whole["pageSize"] == 20
    token = first["nextPageToken"]
    second = gamma.call("ListTasks", {"pageSize": 2, "pageToken": token, "historyLength": 1})
    assert [one["id"] for one in second["tasks"]] == [made[2], made[1]]
    assert [text(one["history"][0]) for one in second["tasks"]] == ["task 2", "task 1"]
    gamma.call("CancelTask", {"id": made[0]})
    canceled = gamma.call("ListTasks", {"status": "TASK_STATE_CANCELED"})
    assert [one["id"] for one in canceled["tasks"]] == [made[0]]
    assert (canceled["totalSize"], canceled["nextPageToken"]) == (1, "")
    at = canceled["tasks"][0]["status"]["timestamp"]
    assert gamma.call("ListTasks", {"statusTimestampAfter": at})["tasks"] == []
    assert gamma.call("ListTasks", {"status": "TASK_STATE_INPUT_REQUIRED"})["tasks"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"pageSize": 0},
        {"pageSize": 101},
        {"pageToken": "x"},
        {"status": "completed"},
        {"statusTimestampAfter": "yesterday"},
        {"historyLength": -1},
        {"contextId": "\ud800"},
        {"pageToken": "\ud800"},
        {"status": "\ud800"},
    ],
)
def test_a_list_that_makes_no_sense_is_refused(alpha: Asker, params: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        alpha.call("ListTasks", params)
    assert refused.value.code == -32602


def test_limits_of_the_bus_hold_here(tmp_path: Path) -> None:
    with running(tmp_path, send_burst=2, sends_per_s=0.001, body_limit_bytes=4096) as hub:
        alpha = Asker(hub.client("n3"), "alpha")
        alpha.send("one", messageId="one")
        alpha.send("two")
        assert alpha.send("one", messageId="one")["history"], "a replay is free"
        with pytest.raises(RefusedError) as refused:
            alpha.send("three")
        assert (refused.value.code, refused.value.reason) == (-32090, "RATE_LIMITED")
        assert refused.value.error["data"][-1]["retryDelay"].endswith("s")
        figures = metrics(hub)
        assert 'agent_bus_requests_rejected_total{code="rate_limited"} 1.0' in figures
        assert "agent_bus_tasks_made_total 2.0" in figures
        large = alpha.raw({"text": "x" * 5000})
        assert (large.status, large.body["code"]) == (413, "too_large")


def test_an_expired_request_has_failed(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        alpha = Asker(hub.client("n3"), "alpha")
        made = alpha.send("soon", metadata={"agent-bus": {"expires_in_s": 1}})
        wait_until(
            lambda: alpha.get(made["id"])["status"]["state"] == "TASK_STATE_FAILED", "it expires"
        )
        assert "expired" in text(alpha.get(made["id"])["status"]["message"])


def test_a_retired_agents_task_is_rejected_and_a_replay_is_still_answered(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as hub:
        gamma = Asker(hub.client("n3"), "gamma")
        made = gamma.send("hello?", messageId="m")
        without = roster({"n1": ("alpha", "beta"), "n3": ("delta",)})
        assert hub.client(None).call("PUT", "/api/agents", without).status == 200
        assert gamma.get(made["id"])["status"]["state"] == "TASK_STATE_REJECTED"
        assert gamma.send("hello?", messageId="m")["id"] == made["id"]
        with pytest.raises(RefusedError) as refused:
            gamma.send("hello again?")
        assert refused.value.error["data"][0]["metadata"]["problem"] == "agent_retired"


def test_a_task_outlives_a_kill_before_its_answer(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        made = Asker(hub.client("n3"), "alpha").send("long work", messageId="m")
        hub.kill()
        hub.start()
        alpha = Asker(hub.client("n3"), "alpha")
        assert alpha.send("long work", messageId="m")["id"] == made["id"]
        reply(hub, made["id"], "done")
        assert [text(one) for one in alpha.get(made["id"])["artifacts"]] == ["done"]


def test_the_operators_requests_are_in_the_audit(hub: HubProcess) -> None:
    made = Asker(hub.client(None), "alpha").send("audited")
    Asker(hub.client(None), "alpha").call("CancelTask", {"id": made["id"]})
    found = hub.rows("SELECT action, agent, detail FROM audit ORDER BY pk DESC LIMIT 2")
    assert [(action, agent) for action, agent, _ in found] == [
        ("cancel", "alpha"),
        ("send", "alpha"),
    ]
    assert all(made["id"] in detail for _, _, detail in found)
