"""Which address of a name is taken; each test makes up the addresses, the sockets are real."""

from __future__ import annotations

import _socket  # which the code uses: `socket` is above it
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.errors import NoAddressError, NotConnectedError
from agent_bus_client.net import dial
from agent_bus_client.net.address import Address, Literal, alternated
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.net.dial import Dialer
from agent_bus_client.net.lookup import Lookup
from tests.support.names import black_hole
from tests.support.patience import patience
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "hub.test"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of 127.0.0.1 that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the system's resolver answers: name -> addresses, or an event to wait for first."""
    known: dict[str, Any] = {}
    real = _socket.getaddrinfo

    def getaddrinfo(
        host: bytes, port: int, family: int, kind: int, protocol: int, flags: int
    ) -> Any:
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, family, kind, protocol, flags)
        answer = known[host.decode()]
        if isinstance(answer, dict):
            answer = answer[family]
        if isinstance(answer, threading.Event):
            answer.wait(patience())
            answer = []
        found = [real(ip.encode(), port, 0, kind)[0] for ip in answer]
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return found

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """A resolver that does not answer until the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def soon() -> Deadline:
    return Deadline.after(patience())


def test_a_literal_address_needs_no_name_server(listening: int) -> None:
    with contextlib.closing(Dialer("127.0.0.1", listening).connect(soon())) as connected:
        assert connected.getpeername() == ("127.0.0.1", listening)


def test_the_first_address_to_answer_is_taken(names: dict[str, Any], listening: int) -> None:
    with black_hole("::1", listening):
        names[HOST] = ["::1", "127.0.0.1"]
        dialer = Dialer(HOST, listening)
        with contextlib.closing(dialer.connect(soon())) as connected:
            assert connected.getpeername()[0] == "127.0.0.1"
        assert dialer.slow == ("::1",)


def test_what_was_taken_is_tried_first_the_next_time(
    names: dict[str, Any], listening: int
) -> None:
    with black_hole("::1", listening):
        names[HOST] = ["::1", "127.0.0.1"]
        dialer = Dialer(HOST, listening)
        dialer.connect(soon()).close()
        dialer.connect(soon()).close()
        assert dialer.slow == ()


def test_an_address_that_a_name_has_no_longer_is_not_taken(
    names: dict[str, Any], listening: int
) -> None:
    names[HOST] = ["127.0.0.1"]
    dialer = Dialer(HOST, listening)
    dialer.connect(soon()).close()
    names[HOST] = ["127.0.0.2"]
    with pytest.raises(NotConnectedError, match=r"127\.0\.0\.2 refused"):
        dialer.connect(soon())


def test_an_address_that_fails_is_followed_by_the_next_at_once(
    names: dict[str, Any], listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STAGGER_S", 3600.0)
    names[HOST] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    Dialer(HOST, listening).connect(soon()).close()


def test_each_address_is_named_when_none_answers(names: dict[str, Any]) -> None:
    with black_hole("127.0.0.1") as port:
        names[HOST] = ["127.0.0.2", "127.0.0.1"]
        words = r"127\.0\.0\.2 refused the connection; 127\.0\.0\.1 did not answer within"
        with pytest.raises(NotConnectedError, match=words) as caught:
            Dialer(HOST, port).connect(Deadline.after(0.5))
    assert not caught.value.refused


def test_refused_by_all_is_refused(names: dict[str, Any]) -> None:
    names[HOST] = ["127.0.0.1", "::1"]
    with pytest.raises(NotConnectedError) as caught:
        Dialer(HOST, free_port()).connect(soon())
    assert caught.value.refused


def test_losers_are_closed(names: dict[str, Any], listening: int) -> None:
    with socket.create_server(("127.0.0.2", listening)) as other:
        names[HOST] = ["127.0.0.1", "127.0.0.2"]
        dialer = Dialer(HOST, listening)
        for _ in range(3):
            with contextlib.closing(dialer.connect(soon())):
                pass
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_resolver_that_hangs_ends_with_the_deadline(
    names: dict[str, Any], hanging: threading.Event
) -> None:
    names[HOST] = hanging
    words = f"name servers did not answer within .* for {HOST}; look at /etc/resolv.conf"
    with pytest.raises(NoAddressError, match=words):
        Dialer(HOST, 1).connect(Deadline.after(0.2))
    assert not hanging.is_set()


def test_a_look_up_that_hangs_is_asked_for_by_one_thread_only(
    names: dict[str, Any], hanging: threading.Event
) -> None:
    names[HOST] = hanging
    dialer = Dialer(HOST, 1)
    for _ in range(5):
        with pytest.raises(NoAddressError):
            dialer.connect(Deadline.after(0.05))
    lookups = [thread for thread in threading.enumerate() if thread.name == f"lookup-{HOST}"]
    assert len(lookups) == 1
    assert all(thread.daemon for thread in lookups)


def test_a_family_that_is_not_answered_for_does_not_hide_the_other(
    names: dict[str, Any], hanging: threading.Event, listening: int
) -> None:
    names[HOST] = {
        socket.AF_UNSPEC: hanging,
        socket.AF_INET6: hanging,
        socket.AF_INET: ["127.0.0.1"],
    }
    Dialer(HOST, listening).connect(soon()).close()
    assert not hanging.is_set()


def test_the_address_of_the_last_time_does_while_name_servers_are_silent(
    names: dict[str, Any], hanging: threading.Event, listening: int
) -> None:
    names[HOST] = ["127.0.0.1"]
    dialer = Dialer(HOST, listening)
    dialer.connect(soon()).close()
    names[HOST] = hanging
    dialer.connect(soon()).close()
    assert not hanging.is_set()


def test_name_servers_that_cannot_say_are_told_of(names: dict[str, Any]) -> None:
    names[HOST] = []
    with pytest.raises(NoAddressError, match=f"name servers have no answer for {HOST}"):
        Dialer(HOST, 1).connect(soon())


def test_a_name_that_is_none_is_told_of() -> None:
    for name in ("a" * 70, "a..b"):
        with pytest.raises(NoAddressError):
            Dialer(name, 1).connect(soon())


def test_families_take_turns() -> None:
    six = [Address(socket.AF_INET6, f"fd00::{n}", ()) for n in range(3)]
    four = [Address(socket.AF_INET, "192.0.2.1", ())]
    assert alternated([*six, *four]) == [six[0], four[0], six[1], six[2]]
    assert alternated([]) == []


def test_a_look_up_that_hangs_for_long_is_given_up_for_a_new_one(
    names: dict[str, Any], hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    names[HOST] = hanging
    lookup = Lookup(HOST, 1)
    assert not lookup.is_over()
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert lookup.is_over()


def test_a_name_is_no_address_and_says_so_when_asked() -> None:
    literal = Literal("hub.example", 80)
    assert literal.known() == []
    assert "hub.example" in str(literal.failure(0.0))
