"""The official A2A clients against a hub: card, send, get, list, cancel, and hubs that end."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a_clients import Kind, Led, Raised, state, texts
from tests.support.hub import HubProcess, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def new_id() -> str:
    return str(uuid.uuid4())


def mail(hub: HubProcess, thread: str) -> list[dict[str, Any]]:
    """What alpha has in a thread; fetched by it."""
    page = hub.client("n1").get(f"/api/inbox?agent=alpha&thread={thread}")
    found: list[dict[str, Any]] = page.body["messages"]
    return found


def answer(hub: HubProcess, thread: str, text: str) -> None:
    """Alpha's reply to the oldest message of a thread."""
    first = mail(hub, thread)[0]["id"]
    hub.client("n1").send(text, **{"from": "alpha", "to": "delta", "reply_to": first})


def test_the_card_names_the_agent_and_its_address(hub: HubProcess, client: Led) -> None:
    card = client.do("card")
    assert card["name"] == "alpha"
    if client.kind.version == "0.3":
        assert (card["url"], card["preferredTransport"]) == (
            f"http://127.0.0.1:{hub.port}/a2a/alpha",
            "JSONRPC",
        )
    else:
        assert {one["url"] for one in card["supportedInterfaces"]} == {
            f"http://127.0.0.1:{hub.port}/a2a/alpha"
        }
    assert set(card["securitySchemes"]) == {"bearer"}


def test_a_task_is_open_until_the_agent_replies(hub: HubProcess, client: Led) -> None:
    made = client.do("send", text="what is 6 * 7?", message_id=new_id())
    assert state(made) == "submitted"
    assert [one["body"] for one in mail(hub, made["contextId"])] == ["what is 6 * 7?"]
    assert state(client.do("get", id=made["id"])) == "working"
    answer(hub, made["contextId"], "42")
    done = client.do("get", id=made["id"])
    assert state(done) == "completed"
    assert [texts(one) for one in done["artifacts"]] == [["42"]]
    assert [texts(one) for one in done["history"]] == [["what is 6 * 7?"], ["42"]]


def test_a_send_that_waits_brings_the_answer(hub: HubProcess, client: Led) -> None:
    client.begin("send", text="quick?", message_id=new_id(), waits=True)
    agent = hub.client("n1")
    asked: list[dict[str, Any]] = []

    def has_come() -> bool:
        page = agent.get("/api/inbox?agent=alpha&limit=500").body["messages"]
        asked[:] = [one for one in page if one["body"] == "quick?"][-1:]
        return bool(asked)

    wait_until(has_come, "the question is there")
    agent.send("quick!", **{"from": "alpha", "to": "delta", "reply_to": asked[0]["id"]})
    done = client.result()
    assert state(done) == "completed"
    assert [texts(one) for one in done["artifacts"]] == [["quick!"]]
    agent.post("/api/ack", {"agent": "alpha", "ids": [asked[0]["id"]]})


def test_a_canceled_task_is_told_to_the_agent_once(hub: HubProcess, client: Led) -> None:
    made = client.do("send", text="too late", message_id=new_id())
    assert state(client.do("cancel", id=made["id"])) == "canceled"
    with pytest.raises(Raised) as refused:
        client.do("cancel", id=made["id"])
    assert "TaskNotCancelable" in refused.value.name
    assert [one["subject"] for one in mail(hub, made["contextId"])] == [None, "Canceled"]


def test_an_unknown_task_is_not_found(client: Led) -> None:
    with pytest.raises(Raised) as refused:
        client.do("get", id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert "TaskNotFound" in refused.value.name


def test_tasks_of_a_context_are_listed(hub: HubProcess, client: Led) -> None:
    first = client.do("send", text="one", message_id=new_id())
    context = first["contextId"]
    second = client.do("send", text="two", message_id=new_id(), context_id=context)
    assert second["contextId"] == context
    assert second["id"] != first["id"]
    if client.kind.version == "0.3":  # has no such call
        return
    found = client.do("list", context_id=context)
    assert [one["id"] for one in found["tasks"]] == [second["id"], first["id"]]
    assert (found["totalSize"], found.get("nextPageToken", "")) == (2, "")


def test_a_context_has_the_name_that_the_client_gave_it(hub: HubProcess, client: Led) -> None:
    name = f"ctx-oc-{new_id()}"
    first = client.do("send", text="one", message_id=new_id(), context_id=name)
    thread = first["metadata"]["agent-bus"]["thread_id"]
    answer(hub, thread, "1")
    second = client.do("send", text="two", message_id=new_id(), context_id=name)
    assert second["metadata"]["agent-bus"]["thread_id"] == thread
    done = client.do("get", id=first["id"])
    said = [done, second, *done["history"], *second["history"]]
    assert {one["contextId"] for one in said} == {name}
    if client.kind.version == "0.3":  # has no such call
        return
    found = client.do("list", context_id=name)
    assert [one["contextId"] for one in found["tasks"]] == [name, name]


def test_a_task_outlives_restarts_and_a_kill(kind: Kind, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    with running(folder) as hub:
        client = Led(kind, hub, tmp_path, token="token-n3", agent="alpha")
        try:
            message_id = new_id()
            made = client.do("send", text="long work", message_id=message_id)
            hub.stop()
            hub.start()
            assert state(client.do("get", id=made["id"])) == "submitted"
            again = client.do("send", text="long work", message_id=message_id)
            assert again["id"] == made["id"]
            hub.kill()
            hub.start()
            assert len(mail(hub, made["contextId"])) == 1, "it is stored once"
            answer(hub, made["contextId"], "done")
            assert state(client.do("get", id=made["id"])) == "completed"
        finally:
            client.end()
