"""Connections to one server by whichever of its addresses answers first (RFC 8305).

Addresses are tried a quarter of a second apart, or at once when one fails. The first to connect is
taken, and the others are closed. The next time, the one that was taken is tried first.
"""

from __future__ import annotations

import _socket as socket  # without the module above it: decision 60
import errno
import os
import select
import time
from _thread import allocate_lock

from agent_bus_client.errors import NotConnectedError
from agent_bus_client.net.address import Literal

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional

    from agent_bus_client.net.address import Address
    from agent_bus_client.net.deadline import Deadline
    from agent_bus_client.net.lookup import Lookup

CONNECT_TIMEOUT_S = 5.0  # over a LAN it takes a millisecond; a lost SYN is sent again after 1 s
STAGGER_S = 0.25  # RFC 8305, 5: "Connection Attempt Delay"
KNOWN_AFTER_S = 1.0  # when name servers are silent for this long, the last address will do
DEAD_S = 30  # unacknowledged packets this old mean a dead peer


class Dialer:
    """Connects to one host and port; any thread may call.

    Attributes:
        slow: at the last connection, the addresses that had not answered when another one did.
        taken: the address of the last connection, None before the first.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = allocate_lock()
        self._lookup: Optional[Literal | Lookup] = None
        self.taken: Optional[Address] = None
        self.slow: tuple[str, ...] = ()

    def connect(self, deadline: Deadline) -> socket.socket:
        """Return a connected socket.

        Raises:
            NotConnectedError: no address of the host accepted a connection by then, or none is
                known.
            OSError: no socket could be made.
        """
        lookup, started = self._current_lookup(), time.monotonic()
        former = self.taken
        lookup.wait(deadline if former is None else deadline.within(KNOWN_AFTER_S))
        if not lookup.known() and (former is None or lookup.is_over()):
            raise lookup.failure(time.monotonic() - started)
        race = _Race(lookup, former)
        connected = race.run(deadline.within(CONNECT_TIMEOUT_S))
        self.taken, self.slow = race.taken, tuple(race.unanswered)
        return _tuned(connected)

    def _current_lookup(self) -> Literal | Lookup:
        """Return the running look-up, or a new one: a name may move between two calls."""
        with self._lock:
            if self._lookup is None or self._lookup.is_over():
                self._lookup = _look_up(self._host, self._port)
            return self._lookup


def _look_up(host: str, port: int) -> Literal | Lookup:
    """Return a new look-up; an address needs no thread for it."""
    literal = Literal(host, port)
    if literal.known():
        return literal
    from agent_bus_client.net.lookup import Lookup

    return Lookup(host, port)


class _Race:
    """The attempts for one connection, in the calling thread."""

    def __init__(self, lookup: Literal | Lookup, former: Optional[Address]) -> None:
        self._lookup = lookup
        self._former = former
        self._tried: list[Address] = []
        self._attempts: dict[int, tuple[socket.socket, Address]] = {}
        self._poll = select.poll()
        self._next_at = 0.0
        self._errors: dict[str, int] = {}
        self.taken: Optional[Address] = None
        self.unanswered: list[str] = []

    def run(self, deadline: Deadline) -> socket.socket:
        """Return the first connected socket; all others are closed."""
        started = time.monotonic()
        won: Optional[socket.socket] = None
        try:
            while won is None and deadline.left_s():
                upcoming = self._upcoming()
                now = time.monotonic()
                if upcoming and (not self._attempts or now >= self._next_at):
                    won = self._look(0.0) or self._start(upcoming)
                    continue
                if not self._attempts and self._lookup.is_over():
                    break
                wait_s = deadline.left_s()
                if upcoming or not self._lookup.is_over():
                    wait_s = min(wait_s, max(0.01, self._next_at - now))
                won = self._look(wait_s)
        finally:
            self.unanswered = [at.ip for sock, at in self._attempts.values() if sock is not won]
            for sock, _ in self._attempts.values():
                if sock is not won:
                    sock.close()
        if won is None:
            raise self._failure(time.monotonic() - started)
        return won

    def _upcoming(self) -> Optional[Address]:
        """Return the next address to try; the one that was taken last time comes first."""
        known = self._lookup.known()
        if self._former is not None and (self._former in known or not known):
            known = [self._former, *known]
        return next((address for address in known if address not in self._tried), None)

    def _start(self, address: Address) -> Optional[socket.socket]:
        """Begin one attempt; return its socket if it is connected at once."""
        self._tried.append(address)
        self._next_at = time.monotonic() + STAGGER_S
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            self._failed(address, error.errno)
            return None
        sock.setblocking(False)
        code = sock.connect_ex(address.socket_address)
        if code == 0:
            self.taken = address
            return sock
        if code != errno.EINPROGRESS:
            sock.close()
            self._failed(address, code)
            return None
        self._attempts[sock.fileno()] = sock, address
        self._poll.register(sock, select.POLLOUT)
        return None

    def _look(self, wait_s: float) -> Optional[socket.socket]:
        """Wait for attempts to end; return the socket of one that has connected."""
        for descriptor, _ in self._poll.poll(wait_s * 1000):
            sock, address = self._attempts[descriptor]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._poll.unregister(descriptor)
            if code == 0:
                self.taken = address
                return sock
            del self._attempts[descriptor]
            sock.close()
            self._failed(address, code)
        return None

    def _failed(self, address: Address, code: int) -> None:
        self._errors[address.ip] = code
        self._next_at = 0.0  # the next address need not wait for this one

    def _failure(self, waited_s: float) -> NotConnectedError:
        refused = set(self._errors.values()) == {errno.ECONNREFUSED} and not self.unanswered
        words = [f"{ip} {_words(code)}" for ip, code in self._errors.items()]
        words += [f"{ip} did not answer within {waited_s:.1f} s" for ip in self.unanswered]
        return NotConnectedError("; ".join(words) or "timed out", refused=refused)


def _words(code: int) -> str:
    if code == errno.ECONNREFUSED:
        return "refused the connection"
    return f"cannot be reached ({os.strerror(code)})"


def _tuned(connected: socket.socket) -> socket.socket:
    """Return the socket, set up so that a dead peer is noticed."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    notice_death(connected, DEAD_S)
    return connected


def notice_death(connected: socket.socket, within_s: int) -> None:
    """Have the kernel end a connection whose peer has acknowledged nothing for this time.

    It asks on its own when nothing else is sent, and the peer's kernel answers, however busy or
    slow its program is (tcp(7), TCP_KEEPIDLE and TCP_USER_TIMEOUT).
    """
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", within_s // 2),
        ("TCP_KEEPINTVL", within_s // 6),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", within_s * 1000),
    ):
        if hasattr(socket, option):
            try:
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            except OSError:
                pass
