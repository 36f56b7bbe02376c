from __future__ import annotations

from typing import Any

import pytest

from tests.support.module import answer_of
from tests.support.played_hub import PlayedHub

pytestmark = pytest.mark.usefixtures("both_ways")


def node(name: str, *, connected: bool, version: str = "1-a") -> dict[str, Any]:
    return {"node": name, "connected": connected, "watcher_version": version}


def test_it_waits_until_the_bus_is_ready_in_the_release() -> None:
    answers = iter(
        [
            (503, {"ready": False, "version": "1-a"}),
            (200, {"ready": True, "version": "0-z"}),
            (200, {"ready": True, "version": "1-a"}),
        ]
    )
    with PlayedHub(lambda *_: next(answers)) as hub:
        answer = answer_of("bus_call", {"url": hub.url, "ready_in": "1-a", "wait_s": 60})
    assert (answer["status"], answer["json"]["version"]) == (200, "1-a")


def test_it_waits_for_watchers_with_the_release() -> None:
    answers = iter(
        [
            {"nodes": [node("mini", connected=False), node("attic", connected=True)]},
            {"nodes": [node("mini", connected=True, version="0-z")]},
            {"nodes": [node("mini", connected=True), node("attic", connected=True)]},
        ]
    )
    with PlayedHub(lambda *_: (200, next(answers))) as hub:
        wanted = {"connected": ["mini", "attic"], "release": "1-a", "wait_s": 60}
        answer = answer_of("bus_call", {"url": f"{hub.url}/api/agents", **wanted})
    assert len(answer["json"]["nodes"]) == 2
    assert "failed" not in answer


def test_it_says_what_did_not_come() -> None:
    with PlayedHub(lambda *_: (200, {"nodes": []})) as hub:
        wanted = {"connected": ["mini"], "release": "1-a"}
        answer = answer_of("bus_call", {"url": f"{hub.url}/api/agents", **wanted})
    assert answer["failed"]
    assert answer["msg"] == "the bus does not see mini with 1-a (HTTP 200)"
    assert answer["json"] == {"nodes": []}


def test_a_refusal_keeps_its_status_and_reason() -> None:
    with PlayedHub(lambda *_: (409, {"detail": "no room"})) as hub:
        answer = answer_of(
            "bus_call", {"url": f"{hub.url}/api/agents", "method": "PUT", "body": {"agents": {}}}
        )
        assert hub.bodies == [{"agents": {}}]
    assert answer["failed"]
    assert (answer["status"], answer["json"]["detail"]) == (409, "no room")


def test_a_hub_that_is_not_there_has_status_minus_one() -> None:
    with PlayedHub(lambda *_: None) as hub:
        url = hub.url
    answer = answer_of("bus_call", {"url": url})
    assert answer["failed"]
    assert answer["status"] == -1
    assert "refused" in answer["msg"]
