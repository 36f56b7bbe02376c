from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus_client.agents import Agent, Turns
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.settings import Settings
from agent_bus_client.waker.gateway import Gateway
from agent_bus_client.waker.outcome import Outcome, Status
from agent_bus_client.watcher.presence import PresenceThread, TurnsReturned
from tests.support.patience import wait_until
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    import pytest


def thread_of(played: PlayedHub, *agents: str) -> PresenceThread:
    known = tuple(Agent(name, "command", ("true",)) for name in agents)
    settings = Settings("n1", played.url, known, presence_interval_s=0.1)
    hubs = Hubs((HubClient(played.url, lambda: "secret"),))
    return PresenceThread(hubs, settings, Gateway(settings, lambda: "x"), lambda _: None)


def test_a_hub_that_does_not_know_kinds_of_gateways_is_told_none() -> None:
    """The hub went back to an older release; its nodes must not count as dead because of that."""

    def older(_method: str, _path: str, body: Any) -> tuple[int, Any]:
        if "gateway_kind" in body:
            return 400, {"code": "invalid_request", "detail": "gateway_kind: unknown field"}
        return 204, None

    with PlayedHub(older) as played:
        thread = thread_of(played, "alpha")
        thread.start()
        wait_until(lambda: len(played.bodies) > 3, "it reports again and again")
        thread.stop()
        thread.join()
    told = ["gateway_kind" in body for body in played.bodies]
    assert told[0]
    assert not any(told[1:])


def test_that_an_agent_has_moved_is_warned_of_once_whoever_tells_it_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first report may be refused before the stream's hello has come, or after it."""
    moved: list[str] = ["beta"]

    def strict(_method: str, _path: str, body: Any) -> tuple[int, Any]:
        wrong = [agent["name"] for agent in body["agents"] if agent["name"] in moved]
        return (403, {"code": "forbidden", "agents": wrong}) if wrong else (204, None)

    with PlayedHub(strict) as played:
        thread = thread_of(played, "alpha", "beta", "gamma")
        thread.start()
        wait_until(lambda: thread.elsewhere, "a report was refused")
        thread.leave_out(["beta"], are_all=True)  # as the hello says
        moved.append("gamma")
        wait_until(lambda: len(thread.elsewhere) > 1, "another report was refused")
        thread.stop()
        thread.join()
    thread.leave_out(["gamma"], are_all=True)  # beta is back
    thread.take_in("gamma")
    assert not thread.elsewhere
    warned = [vars(record)["agents"] for record in caplog.records if "agents" in vars(record)]
    assert warned == [["beta"], ["gamma"]]


class Scripted:
    """A waker whose check says what it is told to."""

    def __init__(self) -> None:
        self.said = Outcome(Status.REJECTED, reason="program is gone", fix="install it")

    def check(self) -> Outcome:
        return self.said

    def wake(self) -> Outcome:
        raise AssertionError("a presence thread only checks")

    def escalate(self) -> None:
        raise AssertionError("a presence thread only checks")

    def close(self) -> None:
        raise AssertionError("a presence thread only checks")


def test_an_agent_whose_turns_cannot_be_started_is_told_and_woken_once_they_can() -> None:
    heard: list[Any] = []
    with PlayedHub(lambda *_: (204, None)) as played:
        turns = Turns("coder", "/work")
        known = (Agent("alpha", "codex", turns=turns), Agent("beta", "command", ("true",)))
        settings = Settings("n1", played.url, known, presence_interval_s=0.1)
        hubs = Hubs((HubClient(played.url, lambda: "secret"),))
        gateway, waker = Gateway(settings, lambda: "x"), Scripted()
        thread = PresenceThread(hubs, settings, gateway, heard.append, turns={"alpha": waker})
        thread.start()
        wait_until(lambda: played.bodies, "it reports")
        states = {agent["name"]: agent["gateway"] for agent in played.bodies[-1]["agents"]}
        assert states == {"alpha": "down", "beta": "ok"}
        assert heard == []
        waker.said = Outcome(Status.ACCEPTED)
        thread.doubt("alpha")
        wait_until(lambda: heard, "the watcher hears that they can be started")
        assert heard == [TurnsReturned("alpha")]
        wait_until(lambda: played.bodies[-1]["agents"][0]["gateway"] == "ok", "the hub, too")
        thread.stop()
        thread.join()
