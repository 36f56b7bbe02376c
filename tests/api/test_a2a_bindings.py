"""A2A's cards, its HTTP+JSON, and version 0.3 on the same addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker, RefusedError, text
from tests.support.hub import Client

if TYPE_CHECKING:
    from tests.support.hub import HubProcess, Reply

MESSAGE = {"messageId": "rest", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
NOW = {"configuration": {"returnImmediately": True}}


def rest(
    client: Client, method: str, path: str, body: Any = None, version: str | None = "1.0"
) -> Reply:
    headers = {"Content-Type": "application/a2a+json"}
    if version is not None:
        headers["A2A-Version"] = version
    return client.call(method, f"/a2a/alpha{path}", body, headers)


def reason(reply: Reply) -> str:
    """The reason of a refusal, whose other facts have to agree."""
    error = reply.body["error"]
    assert error["code"] == reply.status
    assert reply.headers["content-type"] == "application/a2a+json"
    found: str = error["details"][0]["reason"]
    return found


def test_cards_are_for_who_has_a_token(hub: HubProcess) -> None:
    nobody = Client(hub.port, None)
    for path in ("", "/a2a", "/a2a/alpha", "/a2a/nobody"):
        refused = nobody.get(f"{path}/.well-known/agent-card.json")
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    nobody.close()


def test_an_agents_card_leads_to_the_address_that_the_caller_used(hub: HubProcess) -> None:
    client = hub.client("n3")
    headers = {"Host": "bus.example:8091"}
    card = client.call("GET", "/a2a/alpha/.well-known/agent-card.json", None, headers).body
    url = "http://bus.example:8091/a2a/alpha"
    assert [
        (one["url"], one["protocolBinding"], one["protocolVersion"])
        for one in card["supportedInterfaces"]
    ] == [(url, "JSONRPC", "1.0"), (url, "HTTP+JSON", "1.0")]
    assert (card["url"], card["protocolVersion"], card["preferredTransport"]) == (
        url,
        "0.3.0",
        "JSONRPC",
    )
    required = ("description", "version", "defaultInputModes", "defaultOutputModes", "skills")
    assert all(card[name] for name in required)
    assert card["capabilities"] == {
        "streaming": False,
        "pushNotifications": False,
        "extendedAgentCard": False,
    }


def test_the_hubs_card_says_where_the_agents_are(hub: HubProcess) -> None:
    client = hub.client("n3")
    card = client.get("/.well-known/agent-card.json").body
    assert "/a2a/NAME/" in card["description"]
    assert client.get("/a2a/.well-known/agent-card.json").body == card
    asker = Asker(client, "")
    with pytest.raises(RefusedError) as refused:
        asker.send("to whom?")
    assert refused.value.code == -32004
    assert f"127.0.0.1:{hub.port}/a2a/NAME/" in refused.value.error["message"]


def test_a_slash_at_the_end_changes_nothing(hub: HubProcess) -> None:
    asker = Asker(hub.client("n3"), "alpha")
    made = asker.send("slash")
    assert Asker(hub.client("n3"), "alpha/").get(made["id"]) == asker.get(made["id"])


def test_an_unknown_agent_has_no_card_and_takes_no_message(hub: HubProcess) -> None:
    client = hub.client("n3")
    missing = client.get("/a2a/alhpa/.well-known/agent-card.json")
    assert (missing.status, missing.body["code"]) == (404, "unknown_agent")
    for name in ("alhpa", "@all", "all"):
        with pytest.raises(RefusedError) as refused:
            Asker(client, name).send("x")
        assert refused.value.error["data"][0]["metadata"]["problem"] == "unknown_agent"
        with pytest.raises(RefusedError):
            Asker(client, name).call("ListTasks")


def test_each_call_has_a_path(hub: HubProcess) -> None:
    client = hub.client("n3")
    sent = rest(client, "POST", "/message:send", {"message": MESSAGE, **NOW})
    assert (sent.status, sent.headers["content-type"]) == (200, "application/a2a+json")
    task = sent.body["task"]
    assert rest(client, "GET", f"/tasks/{task['id']}").body == task
    shorter = rest(client, "GET", f"/tasks/{task['id']}?historyLength=0").body
    assert "history" not in shorter
    listed = rest(client, "GET", f"/tasks?contextId={task['contextId']}&includeArtifacts=true")
    assert [one["id"] for one in listed.body["tasks"]] == [task["id"]]
    canceled = rest(client, "POST", f"/tasks/{task['id']}:cancel", {})
    assert canceled.body["status"]["state"] == "TASK_STATE_CANCELED"
    again = rest(client, "POST", f"/tasks/{task['id']}:cancel")
    assert (again.status, reason(again)) == (400, "TASK_NOT_CANCELABLE")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("GET", "/tasks/nope", None, 404, "TASK_NOT_FOUND"),
        ("POST", "/tasks/nope:cancel", None, 404, "TASK_NOT_FOUND"),
        ("GET", "/tasks?pageSize=x", None, 400, "INVALID_PARAMS"),
        ("POST", "/message:send", b"{", 400, "JSON_PARSE_ERROR"),
        ("POST", "/message:send", [], 400, "INVALID_PARAMS"),
        ("POST", "/message:stream", {}, 400, "UNSUPPORTED_OPERATION"),
        ("POST", "/tasks/x:subscribe", None, 400, "UNSUPPORTED_OPERATION"),
        ("POST", "/tasks/x/pushNotificationConfigs", {}, 400, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        ("GET", "/tasks/x/pushNotificationConfigs", None, 400, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        ("GET", "/extendedAgentCard", None, 400, "UNSUPPORTED_OPERATION"),
    ],
)
def test_a_refusal_is_a_status_with_its_reason(
    hub: HubProcess, method: str, path: str, body: Any, status: int, expected: str
) -> None:
    refused = rest(hub.client("n3"), method, path, body)
    assert (refused.status, reason(refused)) == (status, expected)


@pytest.mark.parametrize("version", [None, "0.3", "", "0.2", "2.0", "x"])
def test_these_paths_are_of_1_0_alone(hub: HubProcess, version: str | None) -> None:
    refused = rest(hub.client("n3"), "GET", "/tasks", version=version)
    assert (refused.status, reason(refused)) == (400, "VERSION_NOT_SUPPORTED")


def test_the_version_may_be_a_parameter_and_have_a_patch_number(hub: HubProcess) -> None:
    client = hub.client("n3")
    assert rest(client, "GET", "/tasks?A2A-Version=1.0", version=None).status == 200
    assert rest(client, "GET", "/tasks", version="1.0.1").status == 200


def test_another_version_is_refused_by_json_rpc_too(hub: HubProcess) -> None:
    with pytest.raises(RefusedError) as refused:
        Asker(hub.client("n3"), "alpha", version="2.0").call("GetTask", {"id": "x"})
    assert (refused.value.code, refused.value.reason) == (-32009, "VERSION_NOT_SUPPORTED")


def older(hub: HubProcess) -> Asker:
    """Delta asks alpha, by 0.3."""
    return Asker(hub.client("n3"), "alpha", version="0.3")


def test_0_3_sends_gets_and_cancels_in_its_own_words(hub: HubProcess) -> None:
    asker = older(hub)
    parts = [{"kind": "text", "text": "hello"}, {"kind": "data", "data": {"k": 1}}]
    message = {"kind": "message", "messageId": "old", "role": "user", "parts": parts}
    params = {"message": message, "configuration": {"blocking": False}}
    made = asker.call("message/send", params)
    assert (made["kind"], made["status"]["state"]) == ("task", "submitted")
    (turn,) = made["history"]
    assert (turn["kind"], turn["role"], turn["messageId"]) == ("message", "user", "old")
    assert turn["parts"] == parts
    assert asker.call("message/send", params)["id"] == made["id"]
    reply = {"from": "alpha", "to": "delta", "reply_to": made["id"]}
    hub.client("n1").send("42", **reply)
    done = asker.call("tasks/get", {"id": made["id"]})
    assert done["status"]["state"] == "completed"
    assert done["artifacts"][0]["parts"] == [{"kind": "text", "text": "42"}]
    with pytest.raises(RefusedError) as refused:
        asker.call("tasks/cancel", {"id": made["id"]})
    assert refused.value.code == -32002
    assert text(Asker(hub.client("n3"), "alpha").get(made["id"])["artifacts"][0]) == "42"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("message/stream", -32004),
        ("tasks/resubscribe", -32004),
        ("tasks/pushNotificationConfig/set", -32003),
        ("agent/getAuthenticatedExtendedCard", -32007),
        ("SendMessage", -32601),
        ("tasks/list", -32601),
    ],
)
def test_what_0_3_does_not_get(hub: HubProcess, method: str, code: int) -> None:
    with pytest.raises(RefusedError) as refused:
        older(hub).call(method, {})
    assert refused.value.code == code
    if method == "SendMessage":
        assert "A2A-Version" in refused.value.error["message"]


def test_0_3_files_are_refused(hub: HubProcess) -> None:
    parts = [{"kind": "file", "file": {"uri": "https://example.com/x"}}]
    message = {"kind": "message", "messageId": "file", "role": "user", "parts": parts}
    with pytest.raises(RefusedError) as refused:
        older(hub).call("message/send", {"message": message})
    assert refused.value.code == -32005
