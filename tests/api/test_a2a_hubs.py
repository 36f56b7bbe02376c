"""A2A at two hubs on one database: ask one, answer at the other, ask again anywhere."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker, text
from tests.support.hubs import hubs_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import HubProcess


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    """Two hubs for the tests of this module."""
    with hubs_in(tmp_path_factory.mktemp("hubs")) as both:
        yield both


def test_an_answer_at_the_other_hub_ends_the_wait(hubs: list[HubProcess]) -> None:
    answers: list[Any] = []
    alpha = Asker(hubs[0].client("n3"), "alpha")
    asking = threading.Thread(target=lambda: answers.append(alpha.send("across?", waits=True)))
    asking.start()
    client = hubs[1].client("n1")
    found: list[dict[str, Any]] = []

    def has_come() -> bool:
        found[:] = client.get("/api/inbox?agent=alpha").body["messages"]
        return bool(found)

    wait_until(has_come, "the question is at the other hub")
    client.send("yes", **{"from": "alpha", "to": "delta", "reply_to": found[0]["id"]})
    asking.join()
    assert [text(one) for one in answers[0]["artifacts"]] == ["yes"]


def test_a_repeated_message_id_is_one_task_at_any_hub(hubs: list[HubProcess]) -> None:
    askers = [Asker(hubs[n % 2].client("n3"), "gamma") for n in range(6)]
    made: list[str] = []

    def ask(asker: Asker) -> None:
        made.append(asker.send("once", messageId="everywhere")["id"])

    asking = [threading.Thread(target=ask, args=(asker,)) for asker in askers]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(made) == 6
    assert len(set(made)) == 1
    assert askers[1].call("ListTasks", {})["totalSize"] == 1


def test_a_context_that_is_named_at_both_hubs_at_once_is_one_thread(
    hubs: list[HubProcess],
) -> None:
    askers = [Asker(hubs[n % 2].client("n3"), "beta") for n in range(8)]
    threads: list[str] = []

    def ask(asker: Asker) -> None:
        made = asker.send("first?", contextId="ctx-at-both")
        threads.append(made["metadata"]["agent-bus"]["thread_id"])

    asking = [threading.Thread(target=ask, args=(asker,)) for asker in askers]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(threads) == 8
    assert len(set(threads)) == 1
    for asker in askers[:2]:
        assert asker.call("ListTasks", {"contextId": "ctx-at-both"})["totalSize"] == 8


def test_a_hub_that_dies_leaves_its_tasks_to_the_other(hubs: list[HubProcess]) -> None:
    made = Asker(hubs[0].client("n3"), "alpha").send("stay", messageId="stay")
    hubs[0].kill()
    try:
        other = Asker(hubs[1].client("n3"), "alpha")
        assert other.send("stay", messageId="stay")["id"] == made["id"]
        reply = {"from": "alpha", "to": "delta", "reply_to": made["id"]}
        hubs[1].client("n1").send("here", **reply)
        assert other.get(made["id"])["status"]["state"] == "TASK_STATE_COMPLETED"
    finally:
        hubs[0].start()
    assert text(Asker(hubs[0].client("n3"), "alpha").get(made["id"])["artifacts"][0]) == "here"
