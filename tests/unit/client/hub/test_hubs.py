"""Which hub a call goes to, and when it goes on to the next: played hubs, real connections."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.errors import HubRefusedError, HubUnreachableError, NoHubError
from agent_bus_client.hub import hubs as hubs_module
from agent_bus_client.hub.hubs import Hubs, is_harmless
from agent_bus_client.hub.last_hub import FRESH_S, LastHub
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.net.deadline import Deadline
from tests.support.names import black_hole
from tests.support.patience import patience
from tests.support.played_hub import PlayedHub
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = {"Idempotency-Key": "k1"}
BODY = {"from": "alpha", "body": "x"}


def well(*_: object) -> tuple[int, Any]:
    return 200, {"answered": True}


def busy(*_: object) -> tuple[int, Any]:
    return 503, {"code": "not_ready", "detail": "it stops"}


def gone(*_: object) -> None:
    return None


@pytest.fixture
def play() -> Iterator[Callable[..., PlayedHub]]:
    with contextlib.ExitStack() as stack:
        yield lambda answer: stack.enter_context(PlayedHub(answer))


def clients(*urls: str) -> tuple[HubClient, ...]:
    deadline = Deadline.after(patience())
    return tuple(HubClient(url, lambda: "secret", deadline=deadline) for url in urls)


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


def send(hubs: Hubs) -> Any:
    return hubs.call("POST", "/api/send", body=BODY, headers=KEY)


@pytest.mark.parametrize("trouble", [busy, gone, None])
def test_a_send_goes_on_with_its_key_and_stays_where_it_was_taken(
    play: Callable[..., PlayedHub], trouble: Callable[..., Any] | None
) -> None:
    first = play(trouble) if trouble else None
    second = play(well)
    hubs = Hubs(clients(first.url if first else dead(), second.url))
    assert send(hubs) == send(hubs) == {"answered": True}
    assert second.keys == ["k1", "k1"]
    assert hubs.url == second.url
    if first:
        assert first.keys == ["k1"]


def test_a_hub_that_refuses_for_good_is_believed(play: Callable[..., PlayedHub]) -> None:
    first, second = play(lambda *_: (404, {"code": "unknown_agent"})), play(well)
    with pytest.raises(HubRefusedError, match="unknown_agent"):
        send(Hubs(clients(first.url, second.url)))
    assert not second.bodies


def test_a_page_that_may_have_been_shown_is_not_asked_for_elsewhere(
    play: Callable[..., PlayedHub],
) -> None:
    asked: list[str] = []

    def page(_method: str, path: str, _body: object) -> tuple[int, Any]:
        asked.append(path)
        return 200, {}

    second = play(page)
    hubs = Hubs(clients(play(gone).url, second.url))
    with pytest.raises(HubUnreachableError) as caught:
        hubs.call("GET", "/api/inbox")
    assert caught.value.sent
    assert not asked
    assert hubs.url == second.url  # which is asked by whoever asks again
    assert Hubs(clients(dead(), second.url)).call("GET", "/api/inbox") == {}
    assert asked == ["/api/inbox"]


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "harmless"),
    [
        ("GET", "/api/agents", {}, {}, True),
        ("GET", "/api/inbox", {"peek": None}, {}, False),
        ("GET", "/api/inbox", {"peek": 1}, {}, True),
        ("POST", "/api/send", {}, {}, False),
        ("POST", "/api/send", {}, KEY, True),
        ("POST", "/api/ack", {}, {}, True),
        ("POST", "/api/wakes", {}, {}, False),
    ],
)
def test_what_may_come_twice(
    method: str, path: str, query: dict[str, object], headers: dict[str, str], *, harmless: bool
) -> None:
    assert is_harmless(method, path, query, headers) is harmless


def test_if_all_are_dead_each_is_named_and_nothing_was_sent() -> None:
    hubs = Hubs(clients(*(urls := [dead(), dead(), dead()])))
    with pytest.raises(NoHubError) as caught:
        send(hubs)
    assert not caught.value.sent
    assert all(f"{url}: 127.0.0.1 refused the connection" in str(caught.value) for url in urls)


def test_what_may_have_arrived_counts_more_than_what_was_refused(
    play: Callable[..., PlayedHub],
) -> None:
    for answers in ([gone, busy], [busy, gone]):
        with pytest.raises(HubUnreachableError) as caught:
            send(Hubs(clients(dead(), *(play(answer).url for answer in answers))))
        assert caught.value.sent
    with pytest.raises(HubRefusedError, match="it stops"):
        send(Hubs(clients(dead(), play(busy).url)))


def test_a_hub_that_does_not_answer_a_connection_is_left(
    play: Callable[..., PlayedHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = play(well)
    with black_hole("127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}"
        hubs = Hubs(clients(url, second.url))
        assert send(hubs) == {"answered": True}
        assert hubs.url == second.url
        monkeypatch.setattr(hubs_module, "CONNECT_S", 0.05)
        monkeypatch.setattr(hubs_module, "PATIENT_S", 0.1)
        with pytest.raises(NoHubError, match=r"did not answer within 0\.1 s"):
            send(Hubs(clients(url, dead())))


def test_a_hub_that_connects_and_says_nothing_is_left(
    play: Callable[..., PlayedHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs_module, "ANSWER_S", 0.2)
    second = play(well)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert send(Hubs(clients(url, second.url))) == {"answered": True}
    assert second.keys == ["k1"]


def test_the_next_command_begins_where_this_one_was_answered(
    play: Callable[..., PlayedHub], tmp_path: Path
) -> None:
    first, second = dead(), play(well)
    hubs = Hubs(clients(first, second.url), last_hub=LastHub(tmp_path))
    assert hubs.url == first
    send(hubs)
    written_at = (tmp_path / "last-hub").stat().st_mtime_ns
    later = Hubs(clients(first, second.url), last_hub=LastHub(tmp_path))
    assert later.url == second.url
    send(later)
    assert (tmp_path / "last-hub").stat().st_mtime_ns == written_at  # not at each call


def test_after_a_minute_the_first_hub_is_tried_and_the_other_forgotten(
    play: Callable[..., PlayedHub], tmp_path: Path
) -> None:
    first, second = play(well), play(well)
    LastHub(tmp_path).note(second.url)
    os.utime(tmp_path / "last-hub", (at := (tmp_path / "last-hub").stat().st_mtime - FRESH_S, at))
    hubs = Hubs(clients(first.url, second.url), last_hub=LastHub(tmp_path))
    assert hubs.url == first.url
    send(hubs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [b"", b"http://another:1\n", b"\xff\xfe"])
def test_a_memory_that_names_no_hub_is_of_no_account(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "last-hub").write_bytes(text)
    urls = dead(), dead()
    assert Hubs(clients(*urls), last_hub=LastHub(tmp_path)).url == urls[0]


def test_where_nothing_can_be_written_nothing_is_remembered(
    play: Callable[..., PlayedHub], tmp_path: Path
) -> None:
    missing = LastHub(tmp_path / "missing")
    assert send(Hubs(clients(dead(), play(well).url), last_hub=missing)) == {"answered": True}
    assert missing.recall() is None


def test_who_has_another_token_begins_at_the_hub_that_was_reached() -> None:
    """The watcher's own client of that hub is none of theirs."""
    urls = (dead(), dead())
    nodes, agents = Hubs(clients(*urls)), Hubs(clients(*urls))
    agents.use_same(nodes.clients[1])
    assert agents.current is agents.clients[1]
    agents.use_same(clients(dead())[0])
    assert agents.current is agents.clients[1]
