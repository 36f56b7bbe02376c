"""A storm from outside: what senders, the operator, the page and the figures are told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.test_metrics import scrape, value
from tests.api.test_operator import admin
from tests.support.hub import REPOSITORY, HubProcess, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS: dict[str, Any] = {
    "storm_turns": 8,
    "storm_more": 2,
    "storm_spacing_s": 3600,
    "storm_window_s": 5,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running(tmp_path_factory.mktemp("hub"), **LIMITS) as one:
        one.enrol()
        yield one


def storms(hub: HubProcess) -> list[Any]:
    found: list[Any] = hub.client(None).get("/api/storms").body["storms"]
    return found


def ping_pong(hub: HubProcess) -> Any:
    """Alpha and beta answer each other, in new threads, until they are held; the last message.

    How many it takes depends on how fast they are: of those within a gap one counts.
    """
    for number in range(150):
        names = ("alpha", "beta") if number % 2 == 0 else ("beta", "alpha")
        last = hub.client("n1").send(f"number {number}", **{"from": names[0], "to": names[1]})
        if [one["level"] for one in storms(hub)] == ["held"]:
            return last
    raise AssertionError("they were not held")


@pytest.fixture
def held(hub: HubProcess) -> Iterator[Any]:
    """The last message of a held storm of alpha and beta, which is released at the end."""
    yield ping_pong(hub)
    hub.client(None).post("/api/storms/release", {"what": "alpha,beta"})


def test_a_sender_is_told_that_its_message_wakes_nobody(hub: HubProcess, held: Any) -> None:
    assert held["recipients"][0]["reachability"] == "storm"
    other = hub.client("n1").send("elsewhere", **{"from": "alpha", "to": "gamma"})
    assert other["recipients"][0]["reachability"] != "storm"


def test_the_timeline_says_since_when_and_until_when(hub: HubProcess, held: Any) -> None:
    def times() -> Any:
        return hub.client(None).get(f"/api/messages/{held['id']}").body["deliveries"][0]

    wait_until(lambda: times()["held_at"], "the hold to be kept")
    assert times()["let_go_at"] is None
    hub.client(None).post("/api/storms/release", {"what": "beta alpha"})
    assert times()["let_go_at"]


def test_the_operator_sees_the_storm_and_gets_a_message(hub: HubProcess, held: Any) -> None:
    (storm,) = storms(hub)
    assert (storm["key"], storm["level"], storm["agents"]) == (
        "alpha,beta",
        "held",
        ["alpha", "beta"],
    )
    assert storm["withheld"] >= 1

    def notices() -> list[Any]:
        page = hub.client(None).get("/api/inbox?agent=operator&limit=50").body["messages"]
        return [one for one in page if one["from_agent"] == "bus"]

    wait_until(notices, "the notice")
    assert "agent-bus-admin release" in notices()[-1]["body"]


def test_a_message_of_the_operator_to_both_lets_it_go_on(hub: HubProcess, held: Any) -> None:
    hub.client(None).send("go on", **{"from": "operator", "to": ["alpha", "beta"]})
    assert storms(hub) == []
    wait_until(lambda: hub.client(None).get("/api/storms").body["past"], "the release to be kept")


def test_what_is_not_held_cannot_be_released(hub: HubProcess) -> None:
    answer = hub.client(None).post("/api/storms/release", {"what": "alpha,gamma"})
    assert (answer.status, answer.body["code"]) == (404, "unknown_storm")
    assert hub.client("n1").post("/api/storms/release", {"what": "x"}).status == 403
    assert hub.client("n1").get("/api/storms").status == 403


def test_the_figures_tell_of_it(hub: HubProcess, held: Any) -> None:
    _, text = scrape(hub)
    assert value(text, 'agent_bus_storms{level="held"}') == 1
    assert value(text, 'agent_bus_storms_found_total{signal="turns"}') >= 1
    assert value(text, "agent_bus_withheld_deliveries") >= 1


def test_a_hold_outlives_the_hub(tmp_path: Path) -> None:
    with running(tmp_path, **LIMITS) as hub:
        hub.enrol()
        ping_pong(hub)
        client = hub.client(None)
        wait_until(lambda: client.get("/api/inbox?agent=operator").body["messages"], "the notice")
        hub.stop()
        hub.start()
        assert [one["level"] for one in storms(hub)] == ["held"]
        again = hub.client("n1").send("once more", **{"from": "alpha", "to": "beta"})
        assert again["recipients"][0]["reachability"] == "storm"


def test_the_operators_tool_lists_and_releases(hub: HubProcess, held: Any) -> None:
    page = (REPOSITORY / "docs/how-to/stop-a-storm.md").read_text()
    commands = [
        line.split() for line in re.findall(r"^ *agent-bus-admin (.+)$", page, re.MULTILINE)
    ]
    assert len(commands) == 2
    listed = admin(hub, *commands[0])
    assert listed.returncode == 0, listed.stderr
    assert "alpha,beta  held" in listed.stdout
    assert "Storms: 1 held, 0 damped" in admin(hub, "status").stdout
    released = admin(hub, *commands[1])
    assert released.stdout.splitlines()[0] == "key alpha,beta", released.stderr
    again = admin(hub, "release", "alpha,beta")
    assert again.returncode == 1
    assert "not damped or held now" in again.stderr
