"""Several hubs on a database without a primary: who stays connected, and who is sent away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import guard, postgres
from tests.support.database_way import way_to
from tests.support.hubs import hubs_in, hubs_on
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess, StreamReader

TO_GAMMA = {"from": "alpha", "to": "gamma"}
SOON_S = 0.5
"""Between two signs of life of a stream."""


def wait_for_log(hubs: list[HubProcess], words: str) -> None:
    wait_until(lambda: all(words in hub.log() for hub in hubs), f"all say: {words}")


def status_of(hub: HubProcess, name: str) -> str:
    listed = hub.client(None).get("/api/agents").body["agents"]
    return str(next(one["status"] for one in listed if one["name"] == name))


def messages(stream: StreamReader, count: int) -> list[str]:
    """The bodies of the next messages; fails when the stream ends or says bye meanwhile."""
    bodies: list[str] = []
    while len(bodies) < count:
        event = stream.next("a message")
        assert event is not None
        assert event.type not in {"bye", "reset"}
        if event.type == "message":
            bodies.append(event.data["body"])
    return bodies


def test_streams_of_all_hubs_stay_while_the_database_is_dead(tmp_path: Path) -> None:
    server = postgres.Server(
        postgres.TEMPORARY / f"agent-bus-postgres-{guard.mark()}-away", fsync=True
    )
    server.start()
    with hubs_on([server.url("postgres")] * 3, tmp_path, keepalive_s=SOON_S) as hubs:
        streams = [hub.stream("n2") for hub in hubs]
        for stream in streams:
            stream.of_type("hello")
        hubs[0].client("n1").send("before", **TO_GAMMA)
        assert [messages(stream, 1) for stream in streams] == [["before"]] * 3
        server.kill()
        wait_for_log(hubs, "no other hub reaches it: streams stay")
        answers = [hub.client("n1").post("/api/send", {"body": "x", **TO_GAMMA}) for hub in hubs]
        assert {(one.status, one.body["code"]) for one in answers} == {(503, "no_primary")}
        for stream in streams:
            stream.wait_for_comment()
        server.start()
        wait_until(lambda: all(hub.is_ready() for hub in hubs), "all write again")
        for number, hub in enumerate(hubs):
            hub.client("n1").send(f"after {number}", **TO_GAMMA)
        after = [f"after {number}" for number in range(3)]
        assert [messages(stream, 3) for stream in streams] == [after] * 3
        assert not any("clients are sent" in hub.log() for hub in hubs)


def test_without_a_primary_hubs_can_be_read_and_streams_begin(tmp_path: Path) -> None:
    with hubs_in(tmp_path, keepalive_s=SOON_S) as hubs:
        hubs[0].client("n1").send("before", **TO_GAMMA)
        with postgres.read_only(postgres.database(tmp_path)):
            wait_for_log(hubs, "no other hub reaches it: streams stay")
            refused = hubs[0].client("n1").post("/api/send", {"body": "x", **TO_GAMMA})
            assert (refused.status, refused.body["code"]) == (503, "no_primary")
            assert refused.headers["retry-after"]
            ready = hubs[0].client("n1").get("/readyz")
            assert (ready.status, ready.body["checks"]["reading"]) == (503, "ok")
            assert hubs[0].client("n1").get("/livez").body["written_s_ago"] > 5
            stream = hubs[0].stream("n2", "role=watcher")
            assert messages(stream, 1) == ["before"]
        wait_until(lambda: status_of(hubs[1], "gamma") == "online", "its lease is kept now")
        hubs[1].client("n1").send("after", **TO_GAMMA)
        assert messages(stream, 1) == ["after"]


def test_a_hub_that_hears_of_nobody_sends_its_clients_away_once(tmp_path: Path) -> None:
    """It cannot know whether it is cut off, or the last one: those that come back may stay."""
    url = postgres.database(tmp_path)
    with (
        way_to(url) as way,
        hubs_on([url, url, way.url], tmp_path, keepalive_s=SOON_S) as hubs,
    ):
        stream = hubs[2].stream("n2")
        stream.of_type("hello")
        for hub in hubs[:2]:
            hub.hang_up()
            hub.kill()
        with postgres.read_only(url):
            assert stream.of_type("bye").data["reason"] == "shutdown"
            again = hubs[2].stream("n2")
            again.of_type("hello")
            again.wait_for_comment()
        wait_until(hubs[2].is_ready, "it writes again")
        hubs[2].client("n1").send("after", **TO_GAMMA)
        assert messages(again, 1) == ["after"]
