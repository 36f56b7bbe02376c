"""Addresses of a host, and what needs no look-up: a host that is an address itself."""

from __future__ import annotations

import _socket as socket  # without the module above it: decision 60

from agent_bus_client.errors import NoAddressError
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any

    from agent_bus_client.net.deadline import Deadline


class Address(Record):
    """Where to connect; `ip` is for messages to people."""

    family: int
    ip: str
    socket_address: Any


class Literal:
    """The addresses of a host that is one; as a `Lookup` it is over from the beginning."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._known: list[Address] = []
        try:
            self._known = addresses(host, port, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass  # it is a name

    def is_over(self) -> bool:
        """Tell that nothing more will be learned."""
        return True

    def known(self) -> list[Address]:
        """Return the address; nothing for a name."""
        return self._known

    def wait(self, deadline: Deadline) -> None:
        """Return at once."""

    def failure(self, _waited_s: float) -> NoAddressError:
        """Return that the host is no address."""
        return NoAddressError.unknown(self._host)


def addresses(host: str, port: int, family: int = 0, *, flags: int = 0) -> list[Address]:
    """Return what the system knows; it may ask name servers, for as long as it likes.

    A host in ASCII goes to it in bytes: for text, Python loads all of IDNA, which changes nothing.

    Raises:
        OSError: it knows none.
        UnicodeError: the host is not in ASCII, and no name of the domain name system.
    """
    name = host.encode() if host.isascii() else host
    found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, 0, flags)
    return [Address(kind, str(at[0]), at) for kind, _, _, _, at in found]


def alternated(given: list[Address]) -> list[Address]:
    """Return the addresses with alternating families, the first one's first (RFC 8305, 4)."""
    if not given:
        return []
    first = given[0].family
    own = [address for address in given if address.family == first]
    others = [address for address in given if address.family != first]
    turns = []
    for place in range(max(len(own), len(others))):
        turns += own[place : place + 1] + others[place : place + 1]
    return turns
