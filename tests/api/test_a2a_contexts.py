"""Contexts of A2A that clients named themselves: each is a thread, whatever its name."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker, RefusedError, text
from tests.support.hub import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess


@pytest.fixture
def alpha(hub: HubProcess) -> Asker:
    """Agent delta asks alpha, by 1.0's JSON-RPC."""
    return Asker(hub.client("n3"), "alpha")


def thread(of: dict[str, Any]) -> str:
    """The thread that a task is in."""
    found: str = of["metadata"]["agent-bus"]["thread_id"]
    return found


def bodies(hub: HubProcess, of: str) -> list[str]:
    """What alpha has in a thread."""
    query = f"/api/inbox?agent=alpha&thread={of}&unread=0&peek=1"
    return [one["body"] for one in hub.client("n1").get(query).body["messages"]]


@pytest.mark.parametrize(
    "name",
    [
        "ctx-oc-péer",
        "5f0c4b52-1a62-4d5c-9a3e-0d3b7c1f2a10",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "a name; with 'quotes' %s ?",
        "x" * 255,
        "\N{PILE OF POO}" * 255,
    ],
)
def test_any_name_begins_a_context_and_stays_its_id(
    hub: HubProcess, alpha: Asker, name: str
) -> None:
    first = alpha.send("one", contextId=name)
    assert first["contextId"] == name
    assert thread(first) == first["id"]
    reply = {"from": "alpha", "to": "delta", "reply_to": first["id"]}
    hub.client("n1").send("re: one", **reply)
    done = alpha.get(first["id"])
    assert done["contextId"] == name
    assert [one["contextId"] for one in done["history"]] == [name, name]
    assert text(done["artifacts"][0]) == "re: one"
    second = alpha.send("two", contextId=name)
    assert (second["contextId"], thread(second)) == (name, thread(first))
    assert second["id"] != first["id"]
    assert bodies(hub, thread(first)) == ["one", "two"]
    canceled = alpha.call("CancelTask", {"id": second["id"]})
    assert canceled["contextId"] == canceled["status"]["message"]["contextId"] == name
    page = alpha.call("ListTasks", {"contextId": name, "historyLength": 9})
    assert {(one["id"], one["contextId"]) for one in page["tasks"]} == {
        (first["id"], name),
        (second["id"], name),
    }
    assert page["totalSize"] == 2


def test_a_name_is_one_askers_with_one_agent(hub: HubProcess, alpha: Asker) -> None:
    name = f"shared {uuid.uuid4()}"
    other_agent = Asker(alpha.client, "beta")
    other_owner = Asker(hub.client("n2"), "alpha")
    askers = [alpha, other_agent, other_owner]
    made = [one.send("x", contextId=name) for one in askers]
    again = [one.send("y", contextId=name) for one in askers]
    assert len({thread(one) for one in made}) == 3
    assert [thread(one) for one in again] == [thread(one) for one in made]
    assert [one.call("ListTasks", {"contextId": name})["totalSize"] for one in askers] == [2] * 3


def test_a_threads_id_is_a_context_only_for_who_is_in_it(hub: HubProcess, alpha: Asker) -> None:
    made = alpha.send("mine", contextId=str(uuid.uuid4()))
    by_thread = alpha.send("by its id", contextId=thread(made))
    assert thread(by_thread) == by_thread["contextId"] == thread(made)
    stranger = Asker(hub.client("n2"), "alpha").send("guessed", contextId=thread(made))
    assert stranger["contextId"] == thread(made)
    assert thread(stranger) == stranger["id"]
    assert bodies(hub, thread(made)) == ["mine", "by its id"]


def test_a_thread_of_the_bus_goes_on_as_a_context(hub: HubProcess, alpha: Asker) -> None:
    asked = {"from": "alpha", "to": "delta"}
    said = hub.client("n1").send("by the bus", **asked)["id"]
    made = alpha.send("by A2A", contextId=said)
    assert (made["contextId"], thread(made)) == (said, said)


def test_an_open_task_is_joined_with_its_contexts_name_or_none(
    hub: HubProcess, alpha: Asker
) -> None:
    name = str(uuid.uuid4())
    made = alpha.send("one", contextId=name)
    for context in ({"contextId": name}, {"contextId": thread(made)}, {}):
        more: dict[str, Any] = {"taskId": made["id"], **context}
        added = alpha.send("more", **more)
        assert (added["id"], added["contextId"]) == (made["id"], name)
    with pytest.raises(RefusedError) as refused:
        alpha.send("x", taskId=made["id"], contextId="another")
    assert "message.contextId" in refused.value.error["message"]
    assert bodies(hub, thread(made)) == ["one", "more", "more", "more"]


def test_a_repeated_message_id_is_one_task_in_its_context(hub: HubProcess, alpha: Asker) -> None:
    name, message_id = str(uuid.uuid4()), str(uuid.uuid4())
    made = [alpha.send("once", contextId=name, messageId=message_id) for _ in range(2)]
    assert made[0]["id"] == made[1]["id"]
    assert made[1]["contextId"] == name
    assert bodies(hub, thread(made[0])) == ["once"]
    with pytest.raises(RefusedError) as refused:
        alpha.send("once", contextId=f"{name}2", messageId=message_id)
    assert refused.value.error["data"][0]["metadata"]["problem"] == "idempotency_conflict"


def test_first_messages_at_once_are_in_one_thread(hub: HubProcess) -> None:
    name = str(uuid.uuid4())
    made: list[dict[str, Any]] = []

    def ask(number: int) -> None:
        made.append(Asker(hub.client("n3"), "alpha").send(f"{number}", contextId=name))

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len({one["id"] for one in made}) == 8
    assert len({thread(one) for one in made}) == 1


def test_0_3_names_its_contexts_too(hub: HubProcess) -> None:
    old = Asker(hub.client("n3"), "alpha", version="0.3")
    name = f"ctx-oc-{uuid.uuid4()}"

    def send(body: str) -> Any:
        parts = [{"kind": "text", "text": body}]
        message = {"kind": "message", "messageId": str(uuid.uuid4()), "role": "user"}
        return old.call(
            "message/send",
            {
                "message": {**message, "parts": parts, "contextId": name},
                "configuration": {"blocking": False},
            },
        )

    first, second = send("one"), send("two")
    assert first["contextId"] == second["contextId"] == name
    assert thread(first) == thread(second)
    assert old.call("tasks/get", {"id": first["id"]})["history"][0]["contextId"] == name


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "x" * 256, "\ud800", ["list"], 7])
def test_what_is_no_name_is_refused(alpha: Asker, name: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        alpha.send("x", contextId=name)
    assert "message.contextId" in refused.value.error["message"]


def test_a_context_that_is_too_deep_goes_on_when_the_operator_writes_in_it(
    tmp_path: Path,
) -> None:
    with running(tmp_path, hop_limit=2) as hub:
        alpha = Asker(hub.client("n3"), "alpha")
        made = [alpha.send(f"{number}", contextId="for ever") for number in range(3)]
        with pytest.raises(RefusedError) as refused:
            alpha.send("too deep", contextId="for ever")
        assert refused.value.reason == "THREAD_BUDGET_EXHAUSTED"
        hub.client(None).send("go on", to="delta", reply_to=made[0]["id"])
        after = alpha.send("on it goes", contextId="for ever")
        assert thread(after) == thread(made[0])


def test_an_unknown_context_has_no_tasks(alpha: Asker) -> None:
    for name in ("never named", "a\0b", "01ARZ3NDEKTSV4RRFFQ69G5FAW"):
        assert alpha.call("ListTasks", {"contextId": name})["tasks"] == []
