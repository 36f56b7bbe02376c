"""Several hubs on one database, of which one dies: its leases are lost, its clients go on."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.support import postgres
from tests.support.database_way import way_to
from tests.support.hubs import hubs_in, hubs_on
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess


def status_of(hub: HubProcess, name: str) -> str:
    listed: list[dict[str, Any]] = hub.client(None).get("/api/agents").body["agents"]
    return str(next(one["status"] for one in listed if one["name"] == name))


def test_a_hub_that_is_killed_loses_its_leases_and_its_streams_go_on_elsewhere(
    tmp_path: Path,
) -> None:
    with hubs_in(tmp_path) as hubs:
        stream = hubs[0].stream("n2", "role=watcher")
        stream.of_type("hello")
        wait_until(lambda: status_of(hubs[1], "gamma") == "online", "the other hub knows it")
        hubs[1].client("n1").send("before", **{"from": "alpha", "to": "gamma"})
        assert stream.of_type("message").data["body"] == "before"
        cursor = stream.last_id or ""
        hubs[0].hang_up()
        hubs[0].kill()
        hubs[1].client("n1").send("meanwhile", **{"from": "alpha", "to": "gamma"})
        wait_until(lambda: status_of(hubs[1], "gamma") == "deaf", "its lease is lost")
        again = hubs[1].stream("n2", "role=watcher", cursor)
        again.of_type("hello")
        assert again.of_type("message").data["body"] == "meanwhile"
        assert status_of(hubs[1], "gamma") == "online"


def test_a_hub_that_comes_back_knows_what_happened_and_who_is_where(tmp_path: Path) -> None:
    with hubs_in(tmp_path) as hubs:
        stream = hubs[1].stream("n2", "role=watcher")
        stream.of_type("hello")
        hubs[0].hang_up()
        hubs[0].kill()
        hubs[1].client(None).post("/api/agents/gamma/mute", {"for_s": 3600})
        hubs[1].client("n1").send("meanwhile", **{"from": "alpha", "to": "gamma"})
        hubs[0].start()
        assert status_of(hubs[0], "gamma") == "online"
        told = [
            next(
                a
                for a in hub.client(None).get("/api/agents").body["agents"]
                if a["name"] == "gamma"
            )
            for hub in hubs
        ]
        assert told[0]["unread"] == told[1]["unread"] == 1
        assert told[0]["muted_until"] == told[1]["muted_until"] is not None
        hubs[0].client("n1").send("and now", **{"from": "alpha", "to": "gamma"})
        bodies = [stream.of_type("message").data["body"] for _ in range(2)]
        assert bodies == ["meanwhile", "and now"]


def test_a_hub_that_stops_says_so_at_once(tmp_path: Path) -> None:
    with hubs_in(tmp_path) as hubs:
        stream = hubs[0].stream("n2", "role=watcher")
        stream.of_type("hello")
        wait_until(lambda: status_of(hubs[1], "gamma") == "online", "the other hub knows it")
        assert hubs[0].stop() == 0
        wait_until(lambda: status_of(hubs[1], "gamma") == "deaf", "its lease is given back")


def test_a_hub_that_cannot_reach_the_database_sends_its_clients_away_until_it_can(
    tmp_path: Path,
) -> None:
    url = postgres.database(tmp_path)
    with (
        way_to(url) as way,
        hubs_on([url, way.url], tmp_path) as hubs,
    ):
        stream = hubs[1].stream("n2", "role=watcher")
        stream.of_type("hello")
        hubs[1].client("n1").send("before", **{"from": "alpha", "to": "gamma"})
        stream.of_type("message")
        way.cut()
        assert stream.of_type("bye").data["reason"] == "shutdown"
        assert hubs[1].client("n1").get("/readyz").status == 503
        away = hubs[1].stream("n2")
        assert [event.type for event in away.rest()] == ["bye"]
        hubs[0].client("n1").send("meanwhile", **{"from": "alpha", "to": "gamma"})
        wait_until(lambda: status_of(hubs[0], "gamma") == "deaf", "the others go on without it")
        way.mend()
        wait_until(hubs[1].is_ready, "it is back")
        again = hubs[1].stream("n2", last_event_id=stream.last_id or "")
        again.of_type("hello")
        assert again.of_type("message").data["body"] == "meanwhile"


def test_a_hub_whose_connections_hang_finds_new_ones_before_it_sends_clients_away(
    tmp_path: Path,
) -> None:
    url = postgres.database(tmp_path)
    with (
        way_to(url) as way,
        hubs_on([url, way.url], tmp_path, commit_timeout_s=1.0) as hubs,
    ):
        stream = hubs[1].stream("n2", "role=watcher")
        stream.of_type("hello")
        way.hang()
        hubs[0].client("n1").send("meanwhile", **{"from": "alpha", "to": "gamma"})
        wait_until(lambda: "Writing goes on" in hubs[1].log(), "it has a new connection")
        types = {"mailbox": 0, "message": 0, "bye": 0}
        while not types["message"] and not types["bye"]:
            event = stream.next("the message")
            assert event is not None
            types[event.type] = types.get(event.type, 0) + 1
        assert not types["bye"]


def test_a_client_that_has_seen_more_than_the_hub_it_comes_to_is_not_reset(
    tmp_path: Path,
) -> None:
    """The request waits in the stopped hub's queue, as do the news of what the other one did."""
    with hubs_in(tmp_path) as hubs, ThreadPoolExecutor() as pool:
        for _ in range(5):
            stream = hubs[0].stream("n2")
            stream.of_type("hello")
            assert hubs[1].process is not None
            os.killpg(hubs[1].process.pid, signal.SIGSTOP)
            try:
                hubs[0].client("n1").send("seen", **{"from": "alpha", "to": "gamma"})
                cursor = stream.of_type("message").id or ""
                coming = pool.submit(hubs[1].stream, "n2", last_event_id=cursor)
                hubs[0].client("n1").send("not yet", **{"from": "alpha", "to": "gamma"})
            finally:
                os.killpg(hubs[1].process.pid, signal.SIGCONT)
            moved = coming.result(patience())
            moved.of_type("hello")
            event = moved.next()
            assert event is not None
            assert (event.type, event.data.get("body")) == ("message", "not yet")
